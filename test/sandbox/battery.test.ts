// Each behaviour runs on a plain pool with real commits, and in the sandbox. What an app can observe has to be the same,
// or one of the loud differences that are written down beside it. A silent difference is a defect.
import assert from 'node:assert/strict';
import { Arena, type Behaviour } from './arena';
import { applications } from './behaviours/applications';
import { behind } from './behaviours/behind';
import { cancels } from './behaviours/cancels';
import { clients } from './behaviours/clients';
import { constraints } from './behaviours/constraints';
import { cursors } from './behaviours/cursors';
import { drivers } from './behaviours/drivers';
import { errors } from './behaviours/errors';
import { interleaving } from './behaviours/interleaving';
import { jobs } from './behaviours/jobs';
import { inTheDatabase } from './behaviours/in-the-database';
import { locks } from './behaviours/locks';
import { pools } from './behaviours/pools';
import { repeated } from './behaviours/repeated';
import { sequences } from './behaviours/sequences';
import { sessions } from './behaviours/sessions';
import { settings } from './behaviours/settings';
import { statements } from './behaviours/statements';
import { tables } from './behaviours/tables';
import { time } from './behaviours/time';
import { transfers } from './behaviours/transfers';
import { transactions } from './behaviours/transactions';
import { users } from './behaviours/users';

const groups: Record<string, Behaviour[]> = {
  errors,
  transactions,
  interleaving,
  constraints,
  statements,
  repeated,
  settings,
  time,
  behind,
  clients,
  cancels,
  cursors,
  drivers,
  jobs,
  locks,
  applications,
  transfers,
  inTheDatabase,
  tables,
  pools,
  users,
  sequences,
  sessions,
};

describe('the sandbox behaves like production', () => {
  let arena: Arena;
  before(async () => (arena = await Arena.open()));
  after(() => arena.close());

  for (const [group, behaviours] of Object.entries(groups)) {
    describe(group, () => {
      for (const { name, run, differs, may } of behaviours) {
        it(differs ? `${name} (differs, ${differs.code}: ${differs.because})` : name, async () => {
          const plain = JSON.stringify(await arena.plainly(run));
          const boxed = await arena.boxed(run);
          const seen = JSON.stringify(boxed.result);
          assert.equal(boxed.leaked, 0, 'rows were really committed');
          assert.deepEqual(boxed.unhandled, [], 'unhandled rejections');
          if (differs) {
            assert.notEqual(seen, plain, 'no difference any more: take the note away');
            const loud =
              seen.includes(differs.code) ||
              [...boxed.problems.map(String), ...boxed.strays.map(String), ...boxed.caveats].some((told) =>
                told.includes(differs.code),
              );
            assert.ok(loud, `a silent difference: ${plain} became ${seen}`);
          } else {
            assert.equal(seen, plain);
            const unexpected = boxed.problems.filter((p) => may === undefined || !p.message.startsWith(may));
            assert.deepEqual(unexpected.map(String), []);
            assert.deepEqual(boxed.strays.map(String), []);
            assert.deepEqual(
              boxed.caveats.filter((told) => may === undefined || !told.includes(may)),
              [],
            );
          }
        });
      }
    });
  }
});
