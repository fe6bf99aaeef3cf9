// Random programs for the property test: what a few workers do at once, each on its own rows (`v` ends in the worker's
// number), so that a real database gives each of them the same answers whatever the timing.
import type { Knex } from 'knex';
import { err } from './arena';

export type Step =
  | { readonly op: 'run'; readonly sql: string; readonly swallow: boolean }
  | { readonly op: 'insert'; readonly v: string; readonly swallow: boolean }
  | { readonly op: 'stream'; readonly sql: string }
  | { readonly op: 'pause'; readonly ms: number }
  | {
      readonly op: 'transaction';
      readonly form: 'callback' | 'promise' | 'by hand';
      readonly end: 'commit' | 'throw' | 'rollback';
      readonly readOnly: boolean;
      readonly body: readonly Step[];
      readonly swallow: boolean;
    };

export type Program = readonly (readonly Step[])[];

/** mulberry32 */
export function random(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

export function program(seed: number): Program {
  const r = random(seed);
  const upTo = (n: number): number => Math.floor(r() * n);
  const workers = 2 + upTo(3);
  const statement = (w: number): string => {
    const v = (): string => `'k${upTo(5)}_${w}'`;
    const id = (): number => w * 10 + upTo(4);
    switch (upTo(14)) {
      case 0:
      case 1:
        return `insert into pa(v) values(${v()})`;
      case 2:
        return `delete from pa where v = ${v()}`;
      case 3:
        return `update pa set v = ${v()} where v = ${v()}`;
      case 4:
        return `insert into ch(pid) values(${id()})`;
      case 5:
        return `insert into pa(id, v) values(${id()}, ${v()})`;
      case 6:
        return `delete from pa where id = ${id()}`;
      case 7:
        return ['selct 1', 'select 1/0', 'select * from nope', 'insert into pa(v) values(null)'][upTo(4)] as string;
      case 8:
        return `select add_pa(${v()})`;
      case 9:
        return `with x as (insert into pa(v) values(${v()}) returning v) select v from x`;
      case 10:
        return `select v from pa where v like '%\\_${w}' order by v for update`;
      case 11:
        return `${statement(w)};\n${statement(w)}`;
      default:
        return `select v from pa where v like '%\\_${w}' order by v`;
    }
  };
  const block = (w: number, depth: number): Step[] =>
    [...Array(1 + upTo(5)).keys()].map((): Step => {
      const x = r();
      if (depth < 3 && x < 0.22) {
        return {
          op: 'transaction',
          form: depth === 0 ? (['callback', 'promise', 'by hand'] as const)[upTo(3)]! : 'callback',
          end: (['commit', 'commit', 'throw', 'rollback'] as const)[upTo(4)]!,
          readOnly: depth === 0 && r() < 0.1,
          body: block(w, depth + 1),
          swallow: r() < 0.5,
        };
      }
      if (x < 0.3) return { op: 'pause', ms: upTo(3) };
      if (x < 0.34) return { op: 'stream', sql: `select v from pa where v like '%\\_${w}' order by v` };
      if (x < 0.45) return { op: 'insert', v: `k${upTo(5)}_${w}`, swallow: r() < 0.7 };
      return { op: 'run', sql: statement(w), swallow: r() < 0.7 };
    });
  return [...Array(workers).keys()].map((w) => [...block(w + 1, 0), ...block(w + 1, 0)]);
}

type Result = { command: string; rowCount: number; rows: unknown[] };
const essence = (r: Result | Result[]): unknown =>
  Array.isArray(r) ? r.map(essence) : [r.command, r.rowCount, r.rows];

/** What one worker sees, step by step. */
export async function work(knex: Knex, steps: readonly Step[], log: unknown[]): Promise<void> {
  const attempt = async (run: () => Promise<unknown>, swallow: boolean, nested: boolean): Promise<void> => {
    try {
      log.push(await run());
    } catch (error) {
      const { code, message } = error as { code?: string; message: string };
      log.push(`error ${code ?? message}`);
      if (!swallow && nested) throw error;
    }
  };
  const each = async (on: Knex | Knex.Transaction, body: readonly Step[], connection?: unknown): Promise<void> => {
    const nested = on !== knex || connection !== undefined;
    const raw = async (sql: string): Promise<unknown> => {
      const query = on.raw(sql);
      if (connection) void query.connection(connection);
      return essence((await query) as Result);
    };
    for (const step of body) {
      switch (step.op) {
        case 'run':
          await attempt(() => raw(step.sql), step.swallow, nested);
          break;
        case 'insert':
          await attempt(
            () =>
              connection ? raw(`insert into pa(v) values('${step.v}')`) : on('pa').insert({ v: step.v }).then(String),
            step.swallow,
            nested,
          );
          break;
        case 'stream': {
          const seen: unknown[] = [];
          if (!connection)
            seen.push(
              await err(async () => {
                for await (const row of on.raw(step.sql).stream()) seen.push(row);
              }),
            );
          log.push(seen);
          break;
        }
        case 'pause':
          await new Promise((resolve) => setTimeout(resolve, step.ms));
          break;
        case 'transaction':
          if (connection) await each(on, step.body, connection);
          else await attempt(() => inTransaction(on, step), step.swallow, nested);
      }
    }
  };
  const inTransaction = async (
    on: Knex | Knex.Transaction,
    step: Extract<Step, { op: 'transaction' }>,
  ): Promise<string> => {
    const config = step.readOnly ? { readOnly: true } : undefined;
    if (step.form === 'callback') {
      await on.transaction(async (t) => {
        await each(t, step.body);
        if (step.end === 'throw') throw new Error('app');
        if (step.end === 'rollback') await t.rollback();
      }, config);
    } else if (step.form === 'promise') {
      const t = await on.transaction(undefined, config);
      t.executionPromise.catch(() => {});
      try {
        await each(t, step.body);
      } catch (error) {
        await t.rollback();
        throw error;
      }
      if (step.end === 'commit') await t.commit();
      else await t.rollback();
      await t.executionPromise;
    } else {
      const connection = await knex.client.acquireConnection();
      try {
        const say = async (sql: string): Promise<unknown> =>
          essence((await knex.raw(sql).connection(connection as never)) as Result);
        log.push(await say('begin'));
        await each(knex, step.body, connection).catch(() => {});
        log.push(await say(step.end === 'commit' ? 'commit' : 'rollback'));
      } finally {
        await knex.client.releaseConnection(connection);
      }
    }
    return 'done';
  };
  await each(knex, steps);
}

export async function runProgram(
  knex: Knex,
  given: Program,
): Promise<{ readonly logs: unknown[][]; readonly end: unknown }> {
  const logs: unknown[][] = given.map(() => []);
  await Promise.all(given.map((steps, i) => work(knex, steps, logs[i]!)));
  const end = [
    await knex('pa').orderBy('v').pluck('v'),
    (await knex('ch').orderBy('pid').pluck('pid')) as unknown,
    (await knex.raw('show transaction_read_only')).rows,
  ];
  return { logs, end };
}
