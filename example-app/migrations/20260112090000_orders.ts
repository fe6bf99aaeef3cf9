import type { Knex } from 'knex';

export async function up(knex: Knex): Promise<void> {
  await knex.schema.createTable('products', (table) => {
    table.text('sku').primary();
    table.text('name').notNullable();
    table.integer('price_cents').notNullable();
    table.integer('stock').notNullable();
    table.check('price_cents > 0', [], 'products_price');
    table.check('stock >= 0', [], 'products_stock');
  });
  await knex.schema.createTable('vouchers', (table) => {
    table.text('code').primary();
    table.integer('percent').notNullable();
    table.integer('uses_left').notNullable();
    table.check('uses_left >= 0', [], 'vouchers_uses_left');
  });
  await knex.raw(`create type order_status as enum ('open', 'cancelled')`);
  await knex.raw(`
    create table orders (
      id integer generated always as identity primary key,
      user_id integer not null references users on delete cascade,
      status order_status not null default 'open',
      voucher_code text references vouchers,
      placed_at timestamptz not null default now()
    )`);
  await knex.raw(`
    create table order_lines (
      order_id integer not null references orders on delete cascade,
      position integer not null,
      sku text not null references products,
      quantity integer not null check (quantity > 0),
      price_cents integer not null,
      total_cents integer generated always as (quantity * price_cents) stored,
      primary key (order_id, sku),
      unique (order_id, position) deferrable initially deferred
    )`);
}

export async function down(knex: Knex): Promise<void> {
  for (const table of ['order_lines', 'orders', 'vouchers', 'products']) await knex.schema.dropTable(table);
  await knex.raw('drop type order_status');
}
