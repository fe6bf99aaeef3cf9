import type { Knex } from 'knex';

export async function seed(knex: Knex): Promise<void> {
  await knex('roles').insert([
    { name: 'admin', permissions: ['users.edit', 'products.edit', 'orders.read', 'orders.cancel'] },
    { name: 'support', permissions: ['orders.read', 'orders.cancel'] },
    { name: 'packer', permissions: ['orders.read'] },
  ]);
  await knex('users').insert([
    { name: 'Ada', email: 'ada@shop.example', credit_cents: 10_000 },
    { name: 'Ben', email: 'ben@shop.example', credit_cents: 10_000 },
    { name: 'Cleo', email: 'cleo@mail.example' },
    { name: 'Dan', email: 'dan@mail.example' },
  ]);
  // Ada and Ben run the shop, and Ada helps with support; Cleo and Dan are customers.
  for (const [user, role] of [
    ['Ada', 'admin'],
    ['Ben', 'admin'],
    ['Ada', 'support'],
  ]) {
    await knex.raw(
      'insert into user_roles (user_id, role_id) select u.id, r.id from users u, roles r where u.name = ? and r.name = ?',
      [user!, role!],
    );
  }
}
