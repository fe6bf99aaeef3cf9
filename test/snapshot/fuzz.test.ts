// Random statements on four connections at once (commits, rollbacks, savepoints, TRUNCATE, cascades, late writers), with
// random restores, checkpoints and kills in between; after each, an independent look. Failures name the seed.
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import type { Client } from 'pg';
import type { Snapshot } from '../../lib/snapshot';
import { type Ground, contents, differences, ground, own, servers, versionOf } from './support';
import { rounds } from '../support/tiers';
import { ZOO } from './zoo';

const SEED = Number(process.env.REWIND_TEST_SEED ?? randomInt(2 ** 31));

for (const server of servers()) {
  for (const role of ['superuser', 'owner'] as const) {
    for (const journalAbove of [20_000, 0]) {
      for (const [count, mark] of rounds(8, 40))
        it(`gives the checkpoint back in ${count} random rounds, on ${server.name}, as ${role}, with ${journalAbove ? 'copies' : 'journals'} (REWIND_TEST_SEED=${SEED})${mark}`, async function () {
          this.timeout(60_000 + count * 1000);
          const place = await ground({ server: server.url(), role }, ZOO);
          try {
            await new Fuzz(place, journalAbove, randomness(SEED), (await versionOf(server.url())) >= 150000).run(count);
          } finally {
            await place.drop();
          }
        });
    }
  }
}

type Random = (below: number) => number;

class Fuzz {
  #kill: () => Promise<void> = async () => {};
  #log: string[] = [];
  #stack: Record<string, string>[] = [];

  constructor(
    private readonly place: Ground,
    private readonly journalAbove: number,
    private readonly random: Random,
    /** From PostgreSQL 15 on. */
    private readonly merge: boolean,
  ) {}

  async run(rounds: number): Promise<void> {
    let snapshot = await this.#open();
    await snapshot.take();
    this.#stack = [await contents(this.place.observer)];
    const clients = await Promise.all(Array.from({ length: 4 }, () => this.place.connect()));
    for (const client of clients)
      await client
        .query(`set lock_timeout = '2s'; set deadlock_timeout = '100ms'`)
        .catch(() => client.query(`set lock_timeout = '2s'`));
    for (let round = 0; round < rounds; round++) {
      this.#log = [];
      await Promise.all(clients.map((client) => this.#write(client, 1 + this.random(5))));
      const dice = this.random(12);
      if (dice === 0 && this.#stack.length < 4) {
        // What is stale at a checkpoint can't be had back; see the tests of what a restore can't do.
        await clients[0]?.query('refresh materialized view mv');
        await snapshot.push();
        this.#stack.push(await contents(this.place.observer));
        continue;
      }
      if (dice === 1 && this.#stack.length > 1) {
        await snapshot.pop();
        this.#stack.pop();
      } else if (dice === 2) {
        await this.#kill();
        snapshot = await this.#open();
        await snapshot.recover();
        this.#stack = this.#stack.slice(0, 1);
        await this.#check(snapshot, round, 'recover');
        await snapshot.take();
      } else {
        await snapshot.restore();
      }
      await this.#check(snapshot, round, `operation ${dice} at depth ${this.#stack.length - 1}`);
    }
  }

  async #open(): Promise<Snapshot> {
    return this.place.snapshot({
      journalAbove: this.journalAbove,
      connect: async () => {
        const connection = await own(this.place.url);
        this.#kill = async () => {
          await connection.end();
        };
        return connection;
      },
    });
  }

  async #check(snapshot: Snapshot, round: number, what: string): Promise<void> {
    const wrong = differences(this.#stack.at(-1) ?? {}, await contents(this.place.observer));
    const verified = await snapshot.verify().catch((e: unknown) => String(e));
    assert.deepEqual(
      { wrong, verified },
      { wrong: [], verified: [] },
      `round ${round}, ${what}, seed ${SEED}:\n${this.#log.join('\n')}`,
    );
  }

  async #write(client: Client, times: number): Promise<void> {
    for (let i = 0; i < times; i++) {
      const kind = this.random(4);
      try {
        if (kind === 0) {
          await this.#send(client, this.#statement());
          continue;
        }
        await client.query('begin');
        for (let j = 0; j <= this.random(4); j++) {
          if (this.random(5) > 0) await this.#send(client, this.#statement());
          else {
            await client.query('savepoint s');
            await this.#send(client, this.#statement());
            if (this.random(2)) await client.query('rollback to s');
          }
        }
        await client.query(kind === 3 ? 'rollback' : 'commit');
      } catch {
        await client.query('rollback'); // a deadlock, a constraint: as in life
      }
    }
  }

  #send(client: Client, sql: string): Promise<unknown> {
    this.#log.push(sql);
    return client.query(sql);
  }

  #statement(): string {
    const r = this.random;
    const pick = <T>(...items: T[]): T => items[r(items.length)] as T;
    return pick(
      () => `insert into users (email, p) values ('f${r(1e9)}', ${1 + r(5)})`,
      () => `update users set jb = jsonb_build_object('r', ${r(99)}), mood = 'sad' where id % ${2 + r(9)} = 0`,
      () => `delete from users where id % ${3 + r(20)} = 1`,
      () => `update users set id = id + 100000 where id = ${1 + r(50)} and not exists (select from "Order Items" o where o.user_id = users.id)
               and not exists (select from setnull s where s.user_id = users.id)`,
      () => `insert into "Order Items" (user_id, qty, price) select min(id), ${r(9)}, 2 from users`,
      () => `delete from "Order Items" where id % 3 = ${r(3)}`,
      () => `truncate "Order Items" ${pick('', 'restart identity')}`,
      () => `insert into nokey_dups select ${r(3)}, 'x' from generate_series(1, ${1 + r(4)})`,
      () => `delete from nokey_dups where ctid in (select ctid from nokey_dups limit ${1 + r(3)})`,
      () => `update nokey_dups set a = ${r(3)}`,
      () => `insert into app2.logs values ('same', '2024-01-01', '{"x":1}')`,
      () => `delete from app2.logs where msg = 'same'`,
      () => `insert into metrics (at, v) values ('202${3 + r(2)}-05-05', ${r(6)})`,
      () => `update metrics set at = at + ${r(300) - 150} where at + 150 < '2025-01-01' and at - 150 > '2023-01-01'
               and not exists (select from metric_notes n where n.metric_id = metrics.id)`,
      () => `delete from metrics where id % 4 = ${r(4)}`,
      () => `truncate ${pick('metrics cascade', 'metric_notes', 'metric_notes_1')}`,
      () => `update animals set name = name || '!'`,
      () => `delete from dogs where id = ${1 + r(4)}`,
      () => `insert into puppies values (${10 + r(90)}, 'p', 'b', ${r(9)}) on conflict do nothing`,
      () => `update tree set parent = ${pick('null', '1')} where id = 5`,
      () => `delete from tree where id = ${1 + r(5)}`,
      () => `insert into tree values (${200 + r(1e6)}, null, 'n')`,
      () => `insert into cache values ('k${r(50)}', '\\x01') on conflict (k) do update set v = '\\x02'`,
      () => `truncate cache`,
      () => `update docs set body = '${r(9)}'`,
      () => `update settings set v = 'q${r(9)}'`,
      () => `update with_rules set v = '${r(9)}'`,
      () => `insert into empty_one (v) values ('a')`,
      () => `insert into empty_two (one_id) select max(id) from empty_one`,
      () => `delete from empty_one`,
      () => `select nextval('${pick('standalone', 'desc_seq', 'never_called')}')`,
      () =>
        `select setval('${pick('standalone', 'never_called', 'users_id_seq')}', ${1000 + r(1000)}, ${pick('true', 'false')})`,
      () => `update toasty set big = big || 'y' where id = ${1 + r(3)}`,
      () => `select lo_from_bytea(0, '\\x31')`,
      () => `update deferred_u set pos = 4 - pos`,
      () =>
        `update swapped set code = code || '${r(9)}' where id = ${1 + r(3)} and not exists (select from swapped_children c where c.code = swapped.code)`,
      () => `delete from swapped_children where n = ${1 + r(2)}`,
      () => `update swapped set code = '${pick('a', 'b', 'c')}' where id = ${1 + r(3)}`,
      () => `update unchecked set n = ${1 + r(5)}`,
      () => `update moody set n = ${r(9)}, mood = '${pick('sad', 'ok', 'happy')}' where n = ${r(9)}`,
      () => `update cyc_a set b_id = null`,
      () => `delete from cyc_b`,
      () => `select * from users where id < 20 for update`,
      () => `insert into zero_cols default values`,
      () => `refresh materialized view mv`,
      ...Array.from({ length: 12 }, () => () => this.#onItself()),
    )();
  }

  /** Writes to tables whose triggers, cascades and rules write to them as well. */
  #onItself(): string {
    const r = this.random;
    const pick = <T>(...items: T[]): T => items[r(items.length)] as T;
    return (
      pick(
        () => `insert into stamped (v) values ('${r(9)}')`,
        () => `update stamped set v = v || '${r(9)}' where id % 3 = ${r(3)}`,
        () => `with gone as (delete from stamped where id % 5 = ${r(5)} returning v), changed as (update stamped set v = 'w' where id % 5 = ${r(5)} returning v),
               again as (update stamped set s = 'x' where id % 7 = ${r(7)}) insert into stamped (v) select v || '!' from changed union all select v from gone`,
        () => `insert into latest values (${1 + r(9)}, 'x${r(9)}')`,
        () => `insert into latest select g, 'y' from generate_series(1, ${1 + r(9)}) g`,
        () => `insert into latest values (${1 + r(9)}, 'z') on conflict (id) do update set v = excluded.v`,
        () => `update latest set v = v || '${r(9)}' where id % 3 = ${r(3)}`,
        () => `insert into ranked values (${r(20)}) on conflict (id) do nothing`,
        () => `update ranked set n = n + 1, id = id + ${pick(0, 100)} where id % 4 = ${r(4)}`,
        () => `delete from ranked where id % 5 = ${r(5)}`,
        () => `insert into nodes values (${10 + r(90)}, ${1 + r(5)}) on conflict do nothing`,
        () => `delete from nodes where id = ${pick(2, 3, 4, 5, 10 + r(90))}`,
        () => `update nodes set id = id + 1000 where id = ${1 + r(5)}`,
        () => `update later set v = ${1 + r(30)} where id = ${1 + r(3)}`,
        () => `insert into later values (${4 + r(20)}, ${r(9)}) on conflict (id) do update set v = 0`,
        () => `insert into ruled values (${4 + r(20)}, 'n')`,
        () => `delete from ruled where id > ${r(6)}`,
        () => `insert into slices values (${r(30)}, ${r(9)}) on conflict (id) do update set v = excluded.v`,
        () => `update slices set v = ${r(9)} where id % 4 = ${r(4)}`,
        () => `update slices set id = id + ${pick(5, 40)} where id = ${r(20)}`,
        () => `truncate ${pick('stamped restart identity', 'latest', 'ranked', 'nodes', 'slices', 'slices_1')}`,
        () =>
          this.merge &&
          `merge into latest l using (select g, 'm' || g as v from generate_series(${r(5)}, ${5 + r(5)}) g) s on l.id = s.g
               when matched and l.id % 3 = ${r(3)} then delete when matched then update set v = s.v when not matched then insert values (s.g, s.v)`,
      )() || 'select 1'
    );
  }
}

/** Mulberry32: the same numbers for the same seed. */
function randomness(seed: number): Random {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4294967296) * below);
  };
}
