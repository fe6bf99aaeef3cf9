import type { Knex } from 'knex';
import { db } from './db';
import { transaction } from './transaction';

export async function grantRole(userId: number, role: string, on: Knex = db): Promise<void> {
  const found = await on('roles').where({ name: role }).first('id');
  if (!found) throw new Error(`there is no role "${role}"`);
  await on('user_roles').insert({ user_id: userId, role_id: found.id }).onConflict().ignore();
}

export async function revokeRole(userId: number, role: string, on: Knex = db): Promise<void> {
  await on('user_roles')
    .where({ user_id: userId })
    .whereIn('role_id', on('roles').where({ name: role }).select('id'))
    .delete();
}

export function rolesOf(userId: number, on: Knex = db): Promise<string[]> {
  return on('roles')
    .join('user_roles', 'roles.id', 'user_roles.role_id')
    .where({ user_id: userId })
    .orderBy('name')
    .pluck('name');
}

/** What all roles of the user allow together. */
export async function permissionsOf(userId: number, on: Knex = db): Promise<string[]> {
  const { rows } = await on.raw<{ rows: { permission: string }[] }>(
    `select distinct unnest(permissions) as permission
       from roles join user_roles on roles.id = role_id
      where user_id = ? order by 1`,
    [userId],
  );
  return rows.map((row) => row.permission);
}

export async function may(userId: number, permission: string, on: Knex = db): Promise<boolean> {
  return (await permissionsOf(userId, on)).includes(permission);
}

export class LastAdmin extends Error {
  constructor() {
    super('the last admin can not resign');
  }
}

/**
 * There always has to be an admin. Two who resign at once would each see the other one stay, so this needs a
 * serializable transaction: PostgreSQL lets one of them win, and the other one looks again.
 */
export function resignAsAdmin(userId: number): Promise<void> {
  return transaction(
    async (trx) => {
      const admins = await trx('user_roles')
        .join('roles', 'roles.id', 'role_id')
        .where({ name: 'admin' })
        .pluck<number[]>('user_id');
      if (admins.length === 1 && admins[0] === userId) throw new LastAdmin();
      await revokeRole(userId, 'admin', trx);
    },
    { isolationLevel: 'serializable' },
  );
}
