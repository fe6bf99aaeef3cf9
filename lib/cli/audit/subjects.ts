import { auditKey } from '../../audit-plan';
import type { ModeOrigin } from '../../facts';
import type { Mode } from '../../modes';
import type { JsonReport, JsonTest } from '../../report';

/** A test as one run has seen it. */
export interface Subject {
  readonly key: string;
  readonly file: string | null;
  readonly title: string;
  readonly path: readonly string[];
  readonly mode: Mode;
  readonly passed: boolean;
  /** With its hooks and its isolation, where known. */
  readonly ms: number;
  readonly error: string | null;
  readonly from: ModeOrigin;
}

/** The tests that a run isolated, in the order they ran; the last attempt of each counts. */
export function subjectsOf(report: JsonReport | undefined): ReadonlyMap<string, Subject> {
  const found = new Map<string, Subject>();
  for (const test of report?.tests ?? []) {
    const { mode, state, retried } = test;
    if (mode === null || state === 'pending' || retried) continue;
    const subject = subjectOf(test, mode);
    const twin = found.get(subject.key);
    found.set(subject.key, twin ? together(twin, subject) : subject);
  }
  return found;
}

function subjectOf(test: JsonTest, mode: Mode): Subject {
  const { file, title, path, state, error, durationMs, isolationMs, startMs, endMs, modeFrom } = test;
  return {
    key: auditKey(file, title),
    file,
    title,
    path,
    mode,
    passed: state === 'passed',
    ms: startMs !== null && endMs !== null ? endMs - startMs : durationMs + (isolationMs ?? 0),
    error: state === 'failed' ? (error ?? 'failed') : null,
    from: modeFrom ?? { by: 'default' },
  };
}

/** Two tests of one file with one title can't be told apart: they pass or fail as one. */
function together(one: Subject, other: Subject): Subject {
  return { ...one, passed: one.passed && other.passed, ms: one.ms + other.ms, error: one.error ?? other.error };
}

/** The first line: messages of ours go on with what to do, others with a diff. */
export function reasonOf({ error }: Pick<Subject, 'error'>): string {
  const line = (error ?? '').split('\n')[0]?.trim() ?? '';
  return line.length > 140 ? `${line.slice(0, 139)}…` : line;
}
