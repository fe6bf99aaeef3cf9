import { randomBytes } from 'node:crypto';
import { RewindError } from '../errors';
import { quoteIdent, quoteLiteral } from '../sql';
import { cloneDatabase, connectForMaintenance, relatedName } from './clone';
import type { ClonesOptions } from './clones';
import { takeLease } from './lease';
import { dropDatabase, sweepClones } from './orphans';

const WORDS = {
  what: 'The database that keeps what the failed test has left',
  ifBusy: 'Nobody may be connected to it at that moment but the pools that are managed.',
  otherwise: 'Or run without REWIND_KEEP.',
};

/**
 * A clone of `original` for people to look at, in place of the one that an earlier run has kept. Resolves to its name.
 * It gets that name when it is whole: killed before, it is a clone like others, and the earlier one is still there.
 */
export async function keepDatabase(
  { connect, base }: Pick<ClonesOptions, 'connect' | 'base'>,
  original: string,
): Promise<string> {
  const name = relatedName(base, 'kept');
  const mark = `mocha-rewind kept of ${base}`;
  const maintenance = await connectForMaintenance(connect, base, WORDS);
  try {
    const { rows } = await maintenance.query<{ comment: string | null }>(
      `select shobj_description(oid, 'pg_database') as comment from pg_database where datname = $1`,
      [name],
    );
    if (rows.some(({ comment }) => comment !== mark)) {
      throw new RewindError('REWIND_CONNECTION', {
        problem: `What the failed test has left is not kept: there is a database "${name}" that is not ours.`,
        remedy: 'Rename it, or drop it.',
      });
    }
    await sweepClones(maintenance, connect);
    const holder = randomBytes(4).toString('hex');
    await takeLease(maintenance, holder);
    const clone = relatedName(base, `${holder}_0`);
    await cloneDatabase(maintenance, original, clone, WORDS);
    await dropDatabase(maintenance, connect, name);
    // One message, so one transaction.
    await maintenance.query(
      `comment on database ${quoteIdent(clone)} is ${quoteLiteral(mark)};
       alter database ${quoteIdent(clone)} rename to ${quoteIdent(name)}`,
    );
    return name;
  } finally {
    await maintenance.end();
  }
}
