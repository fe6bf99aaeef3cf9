import type { Knex } from 'knex';
import { db } from './db';
import { isUniqueViolation } from './pg-errors';

export interface User {
  id: number;
  email: string;
  name: string;
  credit_cents: number;
}

export class EmailTaken extends Error {
  constructor(email: string) {
    super(`there already is a user with the address ${email}`);
  }
}

const COLUMNS = ['id', 'email', 'name', 'credit_cents'] as const;

export async function createUser(user: { email: string; name: string }, on: Knex = db): Promise<User> {
  try {
    const [created] = await on<User>('users').insert(user).returning(COLUMNS);
    return created as User;
  } catch (error) {
    throw isUniqueViolation(error) ? new EmailTaken(user.email) : error;
  }
}

/** The user with this address, who is created first if there is none. */
export async function findOrCreateUser(user: { email: string; name: string }, on: Knex = db): Promise<User> {
  try {
    return await createUser(user, on);
  } catch (error) {
    const known = error instanceof EmailTaken ? await findByEmail(user.email, on) : undefined;
    if (!known) throw error;
    return known;
  }
}

export function findUser(id: number, on: Knex = db): Promise<User | undefined> {
  return on<User>('users').where({ id }).first(COLUMNS);
}

export function findByEmail(email: string, on: Knex = db): Promise<User | undefined> {
  return on<User>('users').whereRaw('lower(email) = lower(?)', email).first(COLUMNS);
}

export async function renameUser(id: number, name: string, on: Knex = db): Promise<User | undefined> {
  const [renamed] = await on<User>('users').where({ id }).update({ name }).returning(COLUMNS);
  return renamed;
}

/** True if there was such a user. */
export async function deleteUser(id: number, on: Knex = db): Promise<boolean> {
  return (await on<User>('users').where({ id }).delete()) > 0;
}
