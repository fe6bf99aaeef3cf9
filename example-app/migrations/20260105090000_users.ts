import type { Knex } from 'knex';

export async function up(knex: Knex): Promise<void> {
  await knex.schema.createTable('users', (table) => {
    table.increments('id');
    table.text('email').notNullable();
    table.text('name').notNullable();
    table.integer('credit_cents').notNullable().defaultTo(0);
    table.check('credit_cents >= 0', [], 'users_credit');
    table.timestamp('created_at').notNullable().defaultTo(knex.fn.now());
  });
  await knex.raw('create unique index users_email on users (lower(email))');
  await knex.schema.createTable('roles', (table) => {
    table.increments('id');
    table.text('name').notNullable().unique();
    table.specificType('permissions', 'text[]').notNullable();
  });
  await knex.schema.createTable('user_roles', (table) => {
    table.integer('user_id').notNullable().references('users.id').onDelete('CASCADE');
    table.integer('role_id').notNullable().references('roles.id').onDelete('CASCADE');
    table.primary(['user_id', 'role_id']);
  });
}

export async function down(knex: Knex): Promise<void> {
  for (const table of ['user_roles', 'roles', 'users']) await knex.schema.dropTable(table);
}
