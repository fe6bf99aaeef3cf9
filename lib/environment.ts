import { AUDIT_PLAN, AUDIT_REPORT } from './audit-plan';
import { nearest } from './edit-distance';
import { RewindError } from './errors';

/** `flag`: {@link isOn}; `text`: checked where it is used; else the words it may be. */
type Allowed = 'flag' | 'text' | readonly string[];

const PREFIX = 'REWIND_';

/** What can be asked for one run. */
const VARIABLES: Readonly<Record<string, Allowed>> = {
  REWIND_AUDIT: 'flag',
  [AUDIT_PLAN]: 'text',
  [AUDIT_REPORT]: 'text',
  REWIND_CONFIG: 'text',
  REWIND_DIRTY: 'flag',
  REWIND_FRESH: 'flag',
  REWIND_KEEP: ['failed'],
  REWIND_LEAKS: 'flag',
  REWIND_PG_BIN: 'text',
  REWIND_REVERSE: 'flag',
  REWIND_SHUFFLE: 'text',
  REWIND_SQL: ['failed'],
  REWIND_VERIFY: 'flag',
};

const YES = ['1', 'true', 'yes', 'on'];
const NO = ['', '0', 'false', 'no', 'off'];

/** Whether an environment variable is set, to anything but `0`, `false`, `no` or `off`. */
export function isOn(value: string | undefined): value is string {
  return value !== undefined && !NO.includes(value.toLowerCase());
}

/**
 * A variable that does nothing is worse than an error: a run that was to be verified, and was not, looks the same.
 *
 * @throws RewindError `REWIND_CONFIG` for a value that is none, and for a name that is nearly one of ours.
 */
export function assertEnvironment(env: NodeJS.ProcessEnv): void {
  for (const [name, value = ''] of Object.entries(env)) {
    if (!name.startsWith(PREFIX)) continue;
    const allowed = VARIABLES[name];
    if (allowed) assertValue(name, value, allowed);
    else assertNoMisspelling(name);
  }
  if (isOn(env['REWIND_KEEP']) && isOn(env['REWIND_DIRTY'])) {
    throw mistake(
      'REWIND_KEEP commits what the failing test has written, to keep it, and with REWIND_DIRTY nothing that is committed is restored.',
      'Unset one of them.',
    );
  }
}

function assertValue(name: string, value: string, allowed: Allowed): void {
  if (allowed === 'text' || !isOn(value)) return;
  const words = allowed === 'flag' ? YES : allowed;
  if (words.includes(value.toLowerCase())) return;
  throw mistake(
    `the environment variable ${name} has to be ${words[0]}, not "${value}".`,
    `Set it to ${words[0]}, or unset it.`,
  );
}

/** Names are compared without the prefix that they all share. */
function assertNoMisspelling(name: string): void {
  const bare = Object.keys(VARIABLES).map((known) => known.slice(PREFIX.length));
  const meant = nearest(name.slice(PREFIX.length), bare);
  if (!meant) return;
  throw mistake(
    `there is no environment variable ${name}; ${PREFIX}${meant} was probably meant.`,
    'Correct its name, or unset it.',
  );
}

function mistake(problem: string, remedy: string): RewindError {
  return new RewindError('REWIND_CONFIG', { problem, remedy }).withoutStack();
}
