// Whatever a test throws fails that test, or that hook, and nothing else.
import assert from 'node:assert/strict';
import { createDatabase } from '../support/database';
import { type Outcome, type RunOptions, run } from '../support/run';
import { full } from '../support/tiers';

/** JavaScript that makes what is thrown, and what the report has to say of it. */
const KINDS: Readonly<Record<string, { readonly make: string; readonly says: RegExp }>> = {
  'a DOMException, as fetch() and AbortSignal throw': {
    make: `new DOMException('This operation was aborted', 'AbortError')`,
    says: /This operation was aborted/,
  },
  'an error whose message is a getter': {
    make: `Object.defineProperty(new Error('x'), 'message', { get: () => 'gotten' })`,
    says: /gotten/,
  },
  'a frozen error': { make: `Object.freeze(new Error('frozen'))`, says: /frozen/ },
  'a sealed error': { make: `Object.seal(new TypeError('sealed'))`, says: /sealed/ },
  'a frozen assertion': {
    make: `(() => { try { assert.deepEqual({ a: 1 }, { a: 2 }); } catch (e) { return Object.freeze(e); } })()`,
    says: /strictly deep-equal/,
  },
  'a frozen object with a message': { make: `Object.freeze({ message: 'like an error' })`, says: /like an error/ },
  null: { make: 'null', says: /null|falsy/ },
  undefined: { make: 'undefined', says: /undefined|falsy/ },
  zero: { make: '0', says: /\b0\b|falsy/ },
  'a string': { make: `'a string'`, says: /a string/ },
  'a symbol': { make: `Symbol('sign')`, says: /sign|symbol/ },
  'a bigint': { make: '10n', says: /10/ },
  'an object without a prototype': { make: `Object.assign(Object.create(null), { n: 42 })`, says: /42/ },
  'a Proxy that throws': {
    make: `new Proxy(new Error('behind'), Object.fromEntries(['get', 'has', 'getPrototypeOf', 'ownKeys', 'getOwnPropertyDescriptor'].map((trap) => [trap, () => { throw new Error('trap'); }])))`,
    says: /behind|trap/,
  },
  'a Proxy that is revoked': {
    make: `(() => { const { proxy, revoke } = Proxy.revocable({}, {}); revoke(); return proxy; })()`,
    says: /[Rr]evoked/,
  },
  'an error that throws when it is read': {
    make: `Object.defineProperties(new Error('x'), { message: { get() { throw new Error('unreadable'); } }, detail: { enumerable: true, get() { throw new Error('unreadable'); } } })`,
    says: /unreadable/,
  },
  'an error without a stack': { make: `Object.assign(new Error('bare'), { stack: undefined })`, says: /bare/ },
  'an error whose stack is a number': { make: `Object.assign(new Error('seven'), { stack: 7 })`, says: /seven/ },
  'an error whose message is an object': {
    make: `Object.assign(new Error(''), { message: { of: 'parts' } })`,
    says: /parts/,
  },
  'errors that are each other’s cause': {
    make: `(() => { const a = new Error('egg'); a.cause = Object.freeze(new Error('hen', { cause: a })); return Object.freeze(a); })()`,
    says: /egg/,
  },
  'an error with a cause that can’t be read': {
    make: `new Error('outer', { cause: new Proxy({}, { get() { throw new Error('trap'); } }) })`,
    says: /outer/,
  },
  'an error that holds itself': {
    make: `(() => { const e = new Error('self'); e.self = e; return e; })()`,
    says: /self/,
  },
  'an error with a bigint': { make: `Object.assign(new Error('big'), { id: 10n })`, says: /big/ },
};

/** Each way a test or a hook can fail; the ones named `passes` don't. `problem` has a second one, which has to be told too. */
const specOf = (name: string, make: string): string => `
const thrown = () => (${make});
const boom = async () => { await db.raw('select 1'); throw thrown(); };
describe(${JSON.stringify(name)}, () => {
  it('body', boom);
  it('synchronous', () => { throw thrown(); });
  it('tried again', boom).retries(1);
  it('timer', (done) => { setTimeout(() => { throw thrown(); }, 2); });
  it('rejection', async () => { Promise.reject(thrown()); await new Promise((r) => setTimeout(r, 2)); });
  it('problem @truncate', async () => { await db.raw('create table t_left ()'); throw thrown(); });
  describe('before', () => { before(boom); it('hook', () => {}); });
  describe('beforeEach', () => { beforeEach(boom); it('hook', () => {}); });
  describe('afterEach', () => { afterEach(boom); it('passes', () => {}); });
  describe('after', () => { after(boom); it('passes', () => {}); });
  it('passes', () => db('users').insert({ name: 'ann' }));
  it('passes @truncate', () => db('users').insert({ name: 'ann' }));
  after(() => db.raw('drop table if exists t_left'));
});`;

const FAIL = ['body', 'synchronous', 'tried again', 'timer', 'rejection', 'problem @truncate'];
const HOOKS = ['before "before all"', 'beforeEach "before each"', 'afterEach "after each"', 'after "after all"'];
const PASS = ['passes', 'passes @truncate', 'afterEach passes', 'after passes'];

async function runAll(options: Partial<RunOptions> = {}): Promise<Outcome> {
  const specs = Object.entries(KINDS).map(([name, { make }], i) => [`${i}.spec.js`, specOf(name, make)] as const);
  const database = await createDatabase('create table users (name text primary key)');
  try {
    return await run(Object.fromEntries(specs), { ...options, database });
  } finally {
    await database.drop();
  }
}

for (const [how, args, isFull] of [
  ['', [], false],
  [', in a worker', ['--parallel', '--jobs', '2'], true],
] as const) {
  describe(`what a test may throw${how}${full(isFull)}`, function () {
    this.timeout(120_000);
    let outcome: Outcome;
    before(async () => void (outcome = await runAll({ args })));

    for (const [name, { says }] of Object.entries(KINDS)) {
      it(`${name}: fails what has thrown it, is told with all that there is to say, and costs no other test`, () => {
        const of = (titles: readonly string[]): string[] => titles.filter((title) => title.startsWith(`${name} `));
        const failed = of(Object.keys(outcome.failed)).map((title) => title.slice(name.length + 1).split(' hook')[0]);
        assert.deepEqual(failed.sort(), [...FAIL, ...HOOKS].sort(), outcome.output.slice(-3000));
        assert.deepEqual(of(outcome.passed).sort(), PASS.map((title) => `${name} ${title}`).sort());
        // The message of a DOMException is no property of its own: Mocha's JSON reporter has it in the stack alone.
        for (const title of of(Object.keys(outcome.failed))) {
          assert.match(outcome.failed[title] || outcome.stdout, says, title);
        }
        assert.match(outcome.failed[`${name} problem @truncate`]!, /REWIND_SCHEMA_CHANGED/);
      });
    }

    it('leaves nothing else to be told', () => {
      const strangers = Object.keys(outcome.failed).filter(
        (title) => !Object.keys(KINDS).some((n) => title.startsWith(n)),
      );
      assert.deepEqual(strangers, []);
      assert.match(outcome.stderr, /rewind: \d+ rolled back · \d+ committed, undone/);
    });
  });
}

describe(`a message of ten megabytes${full()}`, () => {
  it('is told whole, and costs no other test, also with a second problem behind it', async () => {
    const database = await createDatabase('');
    try {
      const outcome = await run(
        {
          'a.spec.js': `
it('problem @truncate', async () => { await db.raw('create table t_left ()'); throw new Error('m'.repeat(1e7)); });
it('passes @truncate', () => db.raw('drop table t_left'));`,
          'b.spec.js': `it('passes too', () => db.raw('select 1'));`,
        },
        { database, args: ['--parallel', '--jobs', '2'] },
      );
      assert.deepEqual([...outcome.passed].sort(), ['passes @truncate', 'passes too']);
      const message = outcome.failed['problem @truncate'] ?? '';
      assert.ok(message.startsWith('m'.repeat(1e7)), message.slice(0, 1000));
      assert.match(message.slice(1e7), /REWIND_SCHEMA_CHANGED/);
    } finally {
      await database.drop();
    }
  });
});
