import type { Knex } from 'knex';

/** The seeds are repeatable because they start from empty tables, with ids that count from 1 again. */
export async function seed(knex: Knex): Promise<void> {
  await knex.raw('truncate users, roles, products, vouchers, jobs restart identity cascade');
}
