import fs from 'node:fs';
import path from 'node:path';
import type { Mode } from './modes';

/** Names a file of a {@link PlannedTest} list: the run is one of an audit. */
export const AUDIT_PLAN = 'REWIND_AUDIT_PLAN';
/** Names the file that `mocha-rewind/reporter` writes to in a run of an audit, whatever its options say. */
export const AUDIT_REPORT = 'REWIND_AUDIT_REPORT';

/** A test that is to run in an audit. All others are left out. */
export interface PlannedTest {
  /** Relative to the working directory, with `/`. */
  readonly file: string | null;
  /** Full title. */
  readonly title: string;
  /** In place of its own mode. */
  readonly mode?: Mode;
}

export type Plan = ReadonlyMap<string, PlannedTest>;

/** Tests of one file with one title are one to an audit. */
export function auditKey(file: string | null | undefined, title: string): string {
  return JSON.stringify([file ?? null, title]);
}

/** Undefined: every test runs, in its own mode. */
export function readAuditPlan(env: NodeJS.ProcessEnv): Plan | undefined {
  const file = env[AUDIT_PLAN];
  if (!file) return undefined;
  const tests = JSON.parse(fs.readFileSync(path.resolve(file), 'utf8')) as readonly PlannedTest[];
  return new Map(tests.map((test) => [auditKey(test.file, test.title), test]));
}
