// Real mocha processes with the Mocha room alone, and a handler that writes down what it is told.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import ts from 'typescript';
import { spawn } from 'node:child_process';
import { CHILD, type Finished, MOCHAS, type ProjectOptions, repo } from '../../support/project';

export interface Recorded {
  /** Who speaks: the room's handler, or the spec files by way of the globals `R`, `T` and `hooks`. */
  readonly by: 'handler' | 'spec';
  /** Of the handler: `enter`, `leave`, `arrive` …; of a spec: `test`, `before`, `beforeEach`, `afterEach`, `after` … */
  readonly what: string;
  /** Of the handler: `root`, `suite …`, `test …`; of a spec: a title or a name. */
  readonly of: string;
  readonly mode?: string;
  readonly detail?: unknown;
  /** Of a spec: the scope it ran in, as the handler was told, and as the asynchronous context says. */
  readonly scope?: string;
  readonly context?: string;
  readonly worker?: string;
}

export interface JsonReport {
  readonly stats: Record<'suites' | 'tests' | 'passes' | 'pending' | 'failures', number>;
  readonly tests: readonly JsonTest[];
  readonly passes: readonly JsonTest[];
  readonly pending: readonly JsonTest[];
  readonly failures: readonly JsonTest[];
}

export interface JsonTest {
  readonly title: string;
  readonly fullTitle: string;
  readonly err: { readonly message?: string; readonly stack?: string };
}

export interface RecordedRun extends Finished {
  readonly events: readonly Recorded[];
  /** Full titles of the tests whose body ran (those that were made with `T`), in order. */
  readonly ran: readonly string[];
  /** `what of` of each call of the handler, in order. */
  readonly calls: readonly string[];
  readonly report: JsonReport | undefined;
}

export interface RecordedOptions {
  readonly mocha?: keyof typeof MOCHAS;
  readonly args?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** JavaScript of an object of methods that take the handler's place, e.g. `{ depart: async () => [new Error('x')] }`. */
  readonly handler?: string;
  /** JavaScript of an object that is laid over the default tagging. */
  readonly tagging?: string;
  /** JavaScript of `PlugOptions`. */
  readonly plug?: string;
  /** Without: mocha as it is, for comparison. */
  readonly plugged?: boolean;
  readonly timeoutMs?: number;
}

/** The room and the leaves it uses, in JavaScript. Not `dist`: what other rooms are busy with does not matter here. */
let compiled: string | undefined;
function compiledRoom(): string {
  if (compiled) return compiled;
  const out = fs.mkdtempSync(path.join(os.tmpdir(), 'rewind-mocha-room-'));
  for (const folder of ['', 'mocha']) {
    fs.mkdirSync(path.join(out, folder), { recursive: true });
    for (const name of fs.readdirSync(path.join(repo, 'lib', folder))) {
      if (!name.endsWith('.ts')) continue;
      const source = fs.readFileSync(path.join(repo, 'lib', folder, name), 'utf8');
      const options = { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.CommonJS, esModuleInterop: true };
      const { outputText } = ts.transpileModule(source, { compilerOptions: options });
      fs.writeFileSync(path.join(out, folder, name.replace(/ts$/, 'js')), outputText);
    }
  }
  process.on('exit', () => fs.rmSync(out, { recursive: true, force: true }));
  return (compiled = out);
}

const GLOBALS = `
const fs = require('node:fs');
const worker = process.env.MOCHA_WORKER_ID;
const write = (record) => fs.appendFileSync(process.env.RECORD, JSON.stringify({ ...record, worker }) + '\\n');
const define = (name, value) => Object.defineProperty(globalThis, name, { value });
define('write', write);
const nameOf = (scope) => scope && (scope.kind === 'root' ? 'root' : scope.kind + ' ' + scope.title);
// Says what has run, in which scope, and in which one by asynchronous context.
define('R', (what, of, detail) => write({ by: 'spec', what, of, detail,
  scope: nameOf(globalThis.currentScope), context: nameOf(globalThis.scopeContext?.getStore()) }));
// A test that says that its body has run.
define('T', (title, body) => it(title, async function () {
  R('test', this.test.fullTitle());
  await body?.call(this);
}));
// One hook of each kind, each of which says that it has run.
define('hooks', (name) => {
  before(() => R('before', name));
  after(() => R('after', name));
  beforeEach(function () { R('beforeEach', name, this.currentTest.fullTitle()); });
  afterEach(function () { R('afterEach', name, this.currentTest.fullTitle()); });
});
`;

const plugin = (options: RecordedOptions): string => `
const { plugMocha } = require(${JSON.stringify(path.join(compiledRoom(), 'mocha'))});
const { scopeContext } = require(${JSON.stringify(path.join(compiledRoom(), 'scope'))});
Object.defineProperty(globalThis, 'scopeContext', { value: scopeContext });
const nameOf = (scope) => scope.kind === 'root' ? 'root' : scope.kind + ' ' + scope.title;
const tell = (what, scope, detail) => write({ by: 'handler', what, of: scope ? nameOf(scope) : '', mode: scope?.mode, detail });
const current = [];
Object.defineProperty(globalThis, 'currentScope', { get: () => current.at(-1) });
const recorder = (plan) => {
  tell('begin', undefined, plan);
  return {
    async start() { tell('start'); },
    enter(scope) { current.push(scope); tell('enter', scope, { parent: scope.parent && nameOf(scope.parent), file: scope.file }); },
    leave(scope) { const top = current.pop(); tell('leave', scope, { innermost: top === scope, ended: scope.ended, timedOut: scope.timedOut }); },
    async arrive(scope) { tell('arrive', scope); },
    async prepared(scope) { tell('prepared', scope); },
    bodyEnded(scope) { tell('bodyEnded', scope); return undefined; },
    async failed() { return false; },
    async drain() {},
    async explainTimeout() { return []; },
    async depart(scope) { tell('depart', scope); return []; },
    async closing(scope) { tell('closing', scope); },
    facts(scope) { return { mode: scope.mode, phase: 1, isolationMs: 0 }; },
    async finish() { tell('finish'); return []; },
    runFacts() { return { setupMs: 1, notes: [process.env.MOCHA_WORKER_ID] }; },
    workersStart(count) { tell('workersStart', undefined, count); },
    heard(facts) { tell('heard', undefined, facts); },
    ended(tests, totalMs) { tell('ended', undefined, { tests, totalMs }); },
  };
};
const tagging = {
  default: 'rollback',
  tags: { rollback: ['rollback', 'transaction'], truncate: ['truncate'], nodb: ['nodb'], schema: ['schema'], dirty: ['dirty'], unmanaged: ['unmanaged'] },
  rules: [],
  ...(${options.tagging ?? '{}'}),
};
exports.mochaHooks = async () => plugMocha(tagging, (plan) => {
  const handler = recorder(plan);
  const own = (${options.handler ?? '{}'});
  for (const [name, method] of Object.entries(own)) {
    const original = handler[name];
    handler[name] = (...args) => { const told = original(...args); const mine = method(...args); return mine === undefined ? told : mine; };
  }
  return handler;
}, ${options.plug ?? '{}'}).mochaHooks;
`;

/** A folder with these spec files, and mocha processes in it, under the recording plugin. */
export interface RecordedProject {
  readonly dir: string;
  readonly record: string;
  start(
    args: readonly string[],
    env?: NodeJS.ProcessEnv,
  ): { child: ReturnType<typeof spawn>; finished: Promise<Finished> };
  /** Runs a script of the project without mocha's CLI. */
  node(script: string, env: NodeJS.ProcessEnv): Promise<Finished>;
  remove(): void;
}

/** Without `node_modules`: these specs need no packages, and a thousand links would take longer than the run. */
export function recordedProject(specs: ProjectOptions['files'], options: RecordedOptions = {}): RecordedProject {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'rewind-mocha-'));
  const files = { 'package.json': '{}', 'globals.js': GLOBALS, 'plugin.js': plugin(options), ...specs };
  for (const [name, text] of Object.entries(files)) {
    fs.mkdirSync(path.dirname(path.join(dir, name)), { recursive: true });
    fs.writeFileSync(path.join(dir, name), typeof text === 'string' ? text : JSON.stringify(text));
  }
  const bin = path.join(repo, 'node_modules', MOCHAS[options.mocha ?? '12'], 'bin', 'mocha.js');
  const record = path.join(dir, 'record.jsonl');
  const spawned: (args: readonly string[], env?: NodeJS.ProcessEnv) => ReturnType<RecordedProject['start']> = (
    args,
    env,
  ) => {
    const own = { PATH: process.env['PATH'], HOME: process.env['HOME'], ...CHILD, RECORD: record, ...env };
    const child = spawn(process.execPath, args, { cwd: dir, env: own, stdio: ['ignore', 'pipe', 'pipe'] });
    let stdout = '';
    let stderr = '';
    let output = '';
    child.stdout.on('data', (d: Buffer) => ((stdout += d.toString()), (output += d.toString())));
    child.stderr.on('data', (d: Buffer) => ((stderr += d.toString()), (output += d.toString())));
    const finished = new Promise<Finished>((resolve, reject) => {
      child.on('error', reject);
      child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr, output }));
    });
    return { child, finished };
  };
  return {
    dir,
    record,
    start: (args, env) => spawned([bin, ...args], env),
    node: (script, env) => spawned([script], env).finished,
    remove: () => fs.rmSync(dir, { recursive: true, force: true }),
  };
}

export function argsOf(specs: ProjectOptions['files'], options: RecordedOptions = {}): string[] {
  const named = Object.keys(specs).filter((name) => /\.spec\.[cm]?js$/.test(name));
  return [
    ...['--no-config', '--require', './globals.js'],
    ...(options.plugged === false ? [] : ['--require', './plugin.js']),
    ...(options.args ?? []),
    ...(options.args?.some((arg) => /^(-R|--reporter)/.test(arg)) ? [] : ['--reporter', 'json']),
    ...named,
  ];
}

/** Runs the files whose names end in `.spec.js` (or cjs, mjs), in the order given. */
export async function recorded(specs: ProjectOptions['files'], options: RecordedOptions = {}): Promise<RecordedRun> {
  const p = recordedProject(specs, options);
  try {
    const { child, finished } = p.start(argsOf(specs, options), options.env);
    const timer = setTimeout(() => child.kill('SIGKILL'), options.timeoutMs ?? 100_000);
    const result = await finished;
    clearTimeout(timer);
    if (result.signal === 'SIGKILL') throw new Error(`mocha did not end: ${result.output}`);
    return { ...result, ...readRecord(p.record, result) };
  } finally {
    p.remove();
  }
}

export function readRecord(record: string, finished: Finished): Omit<RecordedRun, keyof Finished> {
  const text = fs.existsSync(record) ? fs.readFileSync(record, 'utf8') : '';
  const events = text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Recorded);
  const json = finished.stdout.indexOf('{\n  "stats"');
  return {
    events,
    ran: events.filter((e) => e.by === 'spec' && e.what === 'test').map((e) => e.of),
    calls: events.filter((e) => e.by === 'handler').map((e) => `${e.what} ${e.of}`.trim()),
    report:
      json < 0
        ? undefined
        : (JSON.parse(finished.stdout.slice(json, finished.stdout.lastIndexOf('}') + 1)) as JsonReport),
  };
}

export const VERSIONS = Object.keys(MOCHAS) as (keyof typeof MOCHAS)[];
