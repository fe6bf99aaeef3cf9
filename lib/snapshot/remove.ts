import { RewindError } from '../errors';

type Run = (sql: string) => Promise<Record<string, unknown>[]>;

/** Statements per transaction: each takes locks, and `drop schema … cascade` would take all of them at once. */
const BATCH = 200;

/** The triggers first, then what is in the schema. Needs nothing of the server side: it may be another version's. */
const DROPS = `
  select s.statement from (
    select 1 as n, format('drop event trigger %I', e.evtname) as statement
    from pg_catalog.pg_event_trigger e join pg_catalog.pg_proc p on p.oid = e.evtfoid
    where p.pronamespace = 'rewind'::regnamespace
    union all
    select 2, format('drop trigger %I on %s', t.tgname, t.tgrelid::regclass)
    from pg_catalog.pg_trigger t join pg_catalog.pg_proc p on p.oid = t.tgfoid
    where p.pronamespace = 'rewind'::regnamespace and not t.tgisinternal
    union all
    select 3, format('drop %s rewind.%I cascade', case relkind when 'r' then 'table' else 'sequence' end, relname)
    from pg_catalog.pg_class where relnamespace = 'rewind'::regnamespace and relkind in ('r', 'S')
  ) s order by s.n limit ${BATCH}`;

/** Takes every trace of ours out of the database. Killed half way, it can be run again. */
export async function removeSnapshot(run: Run): Promise<void> {
  const [schema] = await run(
    `select obj_description(oid, 'pg_namespace') as comment from pg_catalog.pg_namespace where nspname = 'rewind'`,
  );
  if (!schema) return;
  if (typeof schema['comment'] !== 'string' || !schema['comment'].startsWith('mocha-rewind')) {
    throw new RewindError('REWIND_RESTORE', {
      problem: 'The database has a schema named "rewind" that is not ours.',
      remedy: 'Rename it: mocha-rewind keeps its copies in a schema of that name.',
    });
  }
  for (;;) {
    const drops = await run(DROPS);
    if (drops.length > 0) await run(drops.map((d) => `${String(d['statement'])};`).join('\n'));
    if (drops.length < BATCH) break;
  }
  await run('drop schema rewind cascade');
}
