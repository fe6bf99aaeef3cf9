// What the planner knows of our own tables and of the catalogs decides which of our functions is asked first, and for which
// rows. ANALYZE and autovacuum change that at any moment: it must make no difference.
import assert from 'node:assert/strict';
import { type Ground, contents, differences, ground, own, servers } from './support';
import { full } from '../support/tiers';

/** One of each kind of relation that our functions look into, and one of each that they must not. */
const SCHEMA = `
  create table users (id serial primary key, name text);
  insert into users (name) values ('ann'), ('bob');
  create table many (id int primary key, v text);
  insert into many select g, 'v' from generate_series(1, 1100) g;
  create materialized view names as select name from users;
  create sequence numbers;
`;
const OTHERS = `
  create role OTHER; create schema theirs;
  create table theirs.t (id serial); create materialized view theirs.v as select * from theirs.t; create sequence theirs.s;
  alter table theirs.t owner to OTHER; alter materialized view theirs.v owner to OTHER; alter sequence theirs.s owner to OTHER;
`;
const MADE = `
  create table newt (id serial primary key, v text); insert into newt (v) values ('a');
  create sequence more; create materialized view copied as select * from newt;
`;
const DROPPED = `drop materialized view copied; drop sequence more; drop table newt`;
const CHANGED = `insert into users (name) values ('cy'); delete from many where id = 5; select nextval('numbers'); refresh materialized view names`;

/** What the planner is to do without. */
const PLANS = ['', 'nestloop', 'hashjoin', 'mergejoin', 'seqscan', 'indexscan'];
const FEW = PLANS.slice(0, 2);

for (const server of servers()) {
  for (const role of ['superuser', 'owner'] as const) {
    for (const plans of role === 'superuser' ? [FEW, PLANS] : [PLANS])
      it(`statistics of the planner change nothing, on ${server.name}, as ${role}, by ${plans.length} ways to plan${full(plans !== FEW)}`, async () => {
        const place: Ground = await ground({ server: server.url(), role }, SCHEMA);
        const other = `${place.appRole}_other`;
        try {
          await place.observer.query(OTHERS.replaceAll('OTHER', other));
          const app = await place.connect();
          for (const plan of plans) {
            const url = new URL(place.url);
            if (plan) url.searchParams.set('options', `-c enable_${plan}=off`);
            const snapshot = await place.snapshot({ journalAbove: 1000, connect: () => own(url.href) });
            const analyze = (): Promise<unknown> => place.observer.query('analyze');
            await snapshot.take();
            const baseline = await contents(place.observer);
            for (const step of [MADE, CHANGED, DROPPED, CHANGED]) {
              await app.query(step);
              await analyze();
              await snapshot.touched();
              const { schemaChange } = await snapshot.look([]);
              assert.match(
                schemaChange ?? '',
                step === CHANGED ? /^$/ : /table public.newt was (created|dropped)/,
                plan,
              );
              await snapshot.restore();
              assert.deepEqual(await snapshot.verify(), [], plan);
            }
            assert.deepEqual(differences(baseline, await contents(place.observer)), [], plan);
            await app.query(MADE);
            await analyze();
            await snapshot.push();
            await app.query(DROPPED);
            await analyze();
            await snapshot.restore();
            await snapshot.pop();
            assert.deepEqual(differences(baseline, await contents(place.observer)), [], plan);
            await app.query(MADE);
            await snapshot.close();
            await app.query(DROPPED);
            await analyze(); // the next run is told of relations that are gone
          }
        } finally {
          await place.observer.query(`drop owned by ${other} cascade; drop role ${other}`);
          await place.drop();
        }
      });
  }
}
