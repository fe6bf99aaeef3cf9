import type { Knex } from 'knex';

export async function up(knex: Knex): Promise<void> {
  await knex.schema.createTable('jobs', (table) => {
    table.increments('id');
    table.text('kind').notNullable();
    table.jsonb('payload').notNullable();
    table.integer('attempts').notNullable().defaultTo(0);
    table.text('last_error');
    table.timestamp('finished_at');
  });
  await knex.schema.createTable('outbox', (table) => {
    table.increments('id');
    table.integer('recipient').notNullable().references('users.id').onDelete('CASCADE');
    table.text('subject').notNullable();
    table.text('body').notNullable();
    table.timestamp('sent_at');
  });
  await knex.raw(`
    create function outbox_notify() returns trigger language plpgsql as $$
      begin
        notify outbox;
        return null;
      end
    $$;
    create trigger outbox_notify after insert on outbox for each statement execute function outbox_notify()`);
}

export async function down(knex: Knex): Promise<void> {
  for (const table of ['outbox', 'jobs']) await knex.schema.dropTable(table);
  await knex.raw('drop function outbox_notify');
}
