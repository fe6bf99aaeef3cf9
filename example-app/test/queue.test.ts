import assert from 'node:assert/strict';
import { db } from '../src/db';
import { type Job, addToQueue, queueLength, workOnce } from '../src/queue';
import { rendezvous } from './support/rendezvous';
import { committedRows } from './support/second-connection';

const kinds = (jobs: (Job | undefined)[]): string[] => jobs.flatMap((job) => job?.kind ?? []).sort();
const idle = async (): Promise<void> => {};

describe('add_to_queue', () => {
  it('puts one job into the queue', async () => {
    await addToQueue('pack', { order: 7 });
    assert.equal(await queueLength(), 1);
  });

  it('does not persist', async () => {
    assert.equal(await queueLength(), 0);
  });

  it('is nothing that anybody else could see', async () => {
    await addToQueue('pack');
    assert.equal(await committedRows('jobs'), 0);
  });

  it('is something everybody can see @truncate', async () => {
    await addToQueue('pack');
    assert.equal(await committedRows('jobs'), 1);
  });

  it('does not persist after that either @truncate', async () => {
    assert.equal(await committedRows('jobs'), 0);
  });

  it('belongs to the transaction it was called in', async () => {
    const outcome = db.transaction(async (trx) => {
      await addToQueue('pack', {}, trx);
      throw new Error('no');
    });
    await assert.rejects(outcome, /^Error: no$/);
    assert.equal(await queueLength(), 0);
  });
});

// Both kinds of tests in one describe: `before` runs once for the rolled-back ones, and once more for the others.
describe('a worker', () => {
  before(async () => {
    await addToQueue('pack', { order: 1 });
    await addToQueue('weigh', { order: 1 });
  });

  it('does the oldest job', async () => {
    const done: Job[] = [];
    await workOnce({ pack: async (job) => void done.push(job) });
    assert.deepEqual(
      done.map(({ kind, payload }) => [kind, payload]),
      [['pack', { order: 1 }]],
    );
    assert.equal(await queueLength(), 1);
  });

  it('does one job after the other', async () => {
    const worked = [await workOnce({ pack: idle, weigh: idle }), await workOnce({ pack: idle, weigh: idle })];
    assert.deepEqual(kinds(worked), ['pack', 'weigh']);
    assert.equal(await queueLength(), 0);
  });

  it('has nothing to do when the queue is empty', async () => {
    await db('jobs').delete();
    assert.equal(await workOnce({}), undefined);
  });

  it('undoes what a failed job wrote, and remembers why it failed', async () => {
    await workOnce({
      pack: async (_job, trx) => {
        await trx('products').where({ sku: 'mug' }).update({ stock: 0 });
        throw new Error('the box is too small');
      },
    });
    assert.equal((await db('products').where({ sku: 'mug' }).first()).stock, 20);
    const job = await db('jobs').where({ kind: 'pack' }).first();
    assert.deepEqual([job.attempts, job.last_error, job.finished_at], [1, 'the box is too small', null]);
  });

  it('gives a job up after three attempts', async () => {
    for (let attempt = 1; attempt <= 3; attempt++) assert.equal((await workOnce({}))?.kind, 'pack');
    assert.equal((await workOnce({}))?.kind, 'weigh');
  });

  // SKIP LOCKED is about two connections that hold a job each: one transaction can't show it.
  it('never gets the job of another one @truncate', async () => {
    const bothBusy = rendezvous(2);
    const handlers = { pack: bothBusy, weigh: bothBusy };
    const worked = await Promise.all([workOnce(handlers), workOnce(handlers)]);
    assert.deepEqual(kinds(worked), ['pack', 'weigh']);
  });

  it('finds nothing while the other ones hold everything @truncate', async () => {
    const [started, released] = [rendezvous(3), rendezvous(3)];
    const busy = async (): Promise<void> => {
      await started();
      await released();
    };
    const others = [workOnce({ pack: busy, weigh: busy }), workOnce({ pack: busy, weigh: busy })];
    await started();
    assert.equal(await workOnce({ pack: busy, weigh: busy }), undefined);
    await released();
    assert.deepEqual(kinds(await Promise.all(others)), ['pack', 'weigh']);
  });

  it('has both jobs again in the next test @truncate', async () => {
    assert.equal(await queueLength(), 2);
    assert.equal(await committedRows('jobs'), 2);
  });
});
