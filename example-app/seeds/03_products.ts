import type { Knex } from 'knex';

export async function seed(knex: Knex): Promise<void> {
  await knex('products').insert([
    { sku: 'mug', name: 'Mug', price_cents: 950, stock: 20 },
    { sku: 'teapot', name: 'Teapot', price_cents: 3_200, stock: 5 },
    { sku: 'spoon', name: 'Spoon', price_cents: 150, stock: 100 },
    { sku: 'samovar', name: 'Samovar', price_cents: 48_000, stock: 1 },
  ]);
  await knex('vouchers').insert([
    { code: 'WELCOME', percent: 10, uses_left: 100 },
    { code: 'USED-UP', percent: 50, uses_left: 0 },
  ]);
}
