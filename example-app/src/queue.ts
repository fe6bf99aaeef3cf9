import type { Knex } from 'knex';
import { db } from './db';

export interface Job {
  id: number;
  kind: string;
  payload: Record<string, unknown>;
  attempts: number;
}

/** What has to be done for one kind of job. Whatever it writes through `trx` is undone if it fails. */
export type Handler = (job: Job, trx: Knex.Transaction) => Promise<void>;

const MAX_ATTEMPTS = 3;

export async function addToQueue(kind: string, payload: object = {}, on: Knex = db): Promise<number> {
  const [row] = await on('jobs')
    .insert({ kind, payload: JSON.stringify(payload) })
    .returning('id');
  return row.id as number;
}

export async function queueLength(on: Knex = db): Promise<number> {
  const row = await on('jobs')
    .whereNull('finished_at')
    .where('attempts', '<', MAX_ATTEMPTS)
    .count<{ count: string }>()
    .first();
  return Number(row?.count);
}

/**
 * Takes the oldest job that no other worker has taken (SKIP LOCKED: nobody waits for anybody) and does it. Returns
 * the job, or undefined where there is none. A job that fails stays in the queue, up to three attempts.
 */
export async function workOnce(handlers: Record<string, Handler>, on: Knex = db): Promise<Job | undefined> {
  return on.transaction(async (trx) => {
    const job = await trx<Job>('jobs')
      .whereNull('finished_at')
      .where('attempts', '<', MAX_ATTEMPTS)
      .orderBy('id')
      .first('id', 'kind', 'payload', 'attempts')
      .forUpdate()
      .skipLocked();
    if (!job) return undefined;
    const outcome = await attempt(job, handlers, trx);
    await trx('jobs').where({ id: job.id }).update(outcome);
    return job;
  });
}

async function attempt(job: Job, handlers: Record<string, Handler>, trx: Knex.Transaction): Promise<object> {
  const attempts = job.attempts + 1;
  try {
    const handler = handlers[job.kind];
    if (!handler) throw new Error(`nobody knows how to do "${job.kind}"`);
    await trx.transaction((inner) => handler(job, inner));
    return { attempts, finished_at: trx.fn.now(), last_error: null };
  } catch (error) {
    return { attempts, last_error: (error as Error).message };
  }
}
