import { RewindError } from '../errors';
import { nameOf } from '../scope';
import type { ModeStrategy } from './mode-strategy';

/** Any use of the database by the test is an error at the call, and fails it even if its code swallows that error. */
export const nodb: ModeStrategy = {
  admit(database, scope) {
    const error = new RewindError('REWIND_NODB', {
      problem: `${nameOf(scope)} is tagged @nodb, and used ${database.label}.`,
      remedy: 'Take the tag off, or find what reaches for the database: the stack of this error leads there.',
    });
    database.problems.report(scope, error);
    return { to: 'nowhere', error };
  },
  arrive: async () => {},
  depart: async () => undefined,
};
