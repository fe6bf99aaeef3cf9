// What the sandbox has to know of a statement before it runs. Cached by text: an app has few distinct ones.
import { asksForTime } from './caveats';
import { clockUses, type ClockUses } from './clock';
import { callTraits, type LocalName, type MaybeLocal, type SessionLock } from './calls';
import { callsUnknown, readsOnly, triesIn, type Tries } from './functions';
import { readInsert, type Insert } from './insert';
import { parse, type Node, type ParsedStatement } from './parser';
import { droppedBy, temporaryMadeBy } from './temporaries';
import { inner, list, mentions } from './tree';
import { refused, toControl, toSet } from './utility';

/** `BEGIN`'s and `SET TRANSACTION`'s modes that were given. */
export interface TransactionModes {
  readonly isolation?: string;
  readonly readOnly?: boolean;
}

export interface Common {
  readonly text: string;
  /** False only where it can't have changed anything that a rollback would undo, and took no row lock. */
  readonly writes: boolean;
  readonly ddl: boolean;
  /** Whether it runs code of the database's, as far as can be seen: a function that isn't built in, a procedure, a DO block. */
  readonly runsCode: boolean;
  /** Whether it sends a notification, as far as can be seen. */
  readonly notifies: boolean;
  /** Whether it asks for the time itself. */
  readonly asks: boolean;
  /** Whether it has `$1`, `$2` … */
  readonly parameters: boolean;
  /** What it locks if nobody else has. */
  readonly tries: Tries | undefined;
}

export type Statement = Common &
  (
    | { readonly kind: 'begin'; readonly modes: TransactionModes; readonly tag: string }
    | { readonly kind: 'commit' | 'rollback'; readonly chain: boolean }
    | { readonly kind: 'savepoint' | 'release' | 'rollback to'; readonly name: string }
    | {
        readonly kind: 'set transaction';
        readonly modes: TransactionModes;
        /** By what PostgreSQL calls it outside of a transaction, where it has no effect; undefined where it says nothing. */
        readonly what: 'SET TRANSACTION' | 'SET LOCAL' | undefined;
      }
    | { readonly kind: 'refused'; readonly what: string; readonly why: string }
    | { readonly kind: 'plain'; readonly traits: Traits }
  );

export type PlainStatement = Extract<Statement, { kind: 'plain' }>;

/** The rarer things a plain statement can do. Empty for nearly all. */
export interface Traits {
  /** PostgreSQL's own words when it is run outside a transaction block: an error, or a warning and no effect. */
  readonly onlyInTransaction?: { readonly what: string; readonly then: 'error' | 'warning' };
  readonly locals?: readonly LocalName[];
  /** Parameters that it sets for the session. */
  readonly sets?: readonly LocalName[] | 'all';
  readonly maybeLocals?: readonly MaybeLocal[];
  /** It sets them to what they were when the connection was new. */
  readonly resets?: true;
  /** The user or role that it sets. */
  readonly becomes?: string;
  readonly sessionLock?: SessionLock;
  readonly copy?: true;
  /** A temporary table that goes at commit. */
  readonly dropsAtCommit?: string;
  readonly makesTemporary?: string;
  /** What DROP names. */
  readonly drops?: readonly string[];
  readonly declaresCursor?: true;
  readonly shows?: string;
  readonly clock?: ClockUses;
  /** May have to be told the time: that depends on its table. */
  readonly insert?: Insert;
  readonly addsEnumValue?: true;
  readonly deallocatesAll?: true;
}

export type Script =
  | { readonly kind: 'empty' }
  /** The server's parser will most likely not read it either. */
  | { readonly kind: 'unreadable' }
  | { readonly kind: 'one'; readonly statement: Statement }
  /** `control`: has transaction control, or something else we have to run statement by statement. */
  | {
      readonly kind: 'several';
      readonly statements: readonly Statement[];
      readonly control: boolean;
      readonly writes: boolean;
    };

/** A statement that can't be read here. */
export const UNKNOWN: PlainStatement = {
  kind: 'plain',
  text: '',
  writes: true,
  ddl: false,
  runsCode: true,
  notifies: false,
  asks: false,
  parameters: false,
  tries: undefined,
  traits: {},
};

const cache = new Map<string, Script>();
const CACHE_LIMIT = 2000;

export function readScript(text: string): Script {
  let script = cache.get(text);
  if (!script) {
    script = toScript(parse(text));
    if (cache.size >= CACHE_LIMIT) cache.clear();
    cache.set(text, script);
  }
  return script;
}

export function scriptWrites(script: Script): boolean {
  if (script.kind === 'one') return script.statement.writes;
  return script.kind === 'several' ? script.writes : script.kind === 'unreadable';
}

export function scriptNotifies(script: Script): boolean {
  if (script.kind === 'one') return script.statement.notifies;
  return script.kind === 'several' && script.statements.some((s) => s.notifies);
}

export function scriptRunsCode(script: Script): boolean {
  if (script.kind === 'one') return script.statement.runsCode;
  return script.kind === 'several' ? script.statements.some((s) => s.runsCode) : script.kind === 'unreadable';
}

function toScript(parsed: readonly ParsedStatement[] | undefined): Script {
  if (!parsed) return { kind: 'unreadable' };
  const statements = parsed.map(toStatement);
  const [first] = statements;
  if (!first) return { kind: 'empty' };
  if (statements.length === 1) return { kind: 'one', statement: first };
  return {
    kind: 'several',
    statements,
    control: statements.some(
      (s) => s.kind !== 'plain' || Object.keys(s.traits).some((trait) => trait !== 'clock' && trait !== 'insert'),
    ),
    writes: statements.some((s) => s.writes),
  };
}

/** Whether it goes the usual way of nearly every statement. */
export function isOrdinary(statement: PlainStatement): boolean {
  for (const trait in statement.traits) {
    if (trait !== 'addsEnumValue' && trait !== 'insert' && trait !== 'clock') return false;
  }
  return true;
}

const DML = new Set(['SelectStmt', 'InsertStmt', 'UpdateStmt', 'DeleteStmt', 'MergeStmt']);
/** Statements that are neither DML nor a change of the schema. */
const UTILITY = new Set(
  (
    'CopyStmt CallStmt DoStmt NotifyStmt UnlistenStmt PrepareStmt ExecuteStmt DeallocateStmt DiscardStmt FetchStmt ' +
    'ClosePortalStmt DeclareCursorStmt LockStmt VariableSetStmt ConstraintsSetStmt CheckPointStmt LoadStmt VacuumStmt ' +
    'TruncateStmt'
  ).split(' '),
);

function toStatement(parsed: ParsedStatement): Statement {
  const statement = withoutTemporaries(parsed);
  if (statement.kind !== 'plain') return statement;
  const makesTemporary = temporaryMadeBy(parsed.type, parsed.body);
  const drops = parsed.type === 'DropStmt' ? droppedBy(parsed.body) : [];
  if (makesTemporary !== undefined) return { ...statement, traits: { ...statement.traits, makesTemporary } };
  return drops.length > 0 ? { ...statement, traits: { ...statement.traits, drops } } : statement;
}

function withoutTemporaries({ type, body, text }: ParsedStatement): Statement {
  const runsCode = ['DoStmt', 'CallStmt', 'ExecuteStmt'].includes(type) || callsUnknown(body);
  const common = {
    text,
    writes: true,
    ddl: false,
    runsCode,
    notifies: type === 'NotifyStmt' || /\bpg_notify\b/i.test(text),
    asks: asksForTime(text),
    parameters: mentions(body, 'ParamRef'),
    tries: type === 'LockStmt' || /\b(?:nowait|skip\s+locked)\b/i.test(text) ? triesIn(body) : undefined,
  };
  const plain = (traits: Traits = {}, over: Partial<Common> = {}): Statement => ({
    ...common,
    ...over,
    kind: 'plain',
    traits,
  });
  switch (type) {
    case 'TransactionStmt':
      return toControl(body, common);
    case 'VariableSetStmt':
      return toSet(body, common);
    case 'VariableShowStmt':
      return plain({ shows: String(body.name) }, { writes: false });
    case 'ListenStmt':
      return refused(common, 'LISTEN', 'notifications are sent when a transaction commits, which never happens here');
    case 'ConstraintsSetStmt':
      return plain({ onlyInTransaction: { what: 'SET CONSTRAINTS', then: 'warning' } });
    case 'LockStmt':
      return plain({ onlyInTransaction: { what: 'LOCK TABLE', then: 'error' } });
    case 'DeclareCursorStmt':
      // CURSOR_OPT_HOLD (parsenodes.h) is the one kind of cursor that may be declared outside a transaction block
      return plain(
        Number(body.options) & 0x20
          ? {}
          : { declaresCursor: true, onlyInTransaction: { what: 'DECLARE CURSOR', then: 'error' } },
      );
    case 'CopyStmt':
      return plain(body.filename === undefined && !body.is_program ? { copy: true } : {}, {
        writes: body.is_from === true || !(body.query === undefined || readsOnly(body.query)),
      });
    case 'DeallocateStmt':
      return plain(body.isall ? { deallocatesAll: true } : {});
    case 'ExplainStmt': {
      const analyze = list(body.options).some((o) => inner(o, 'DefElem')?.defname === 'analyze');
      return plain({}, { writes: analyze && !readsOnly(body.query) });
    }
    case 'CreateStmt':
    case 'CreateTableAsStmt': {
      const into = body.into as Node | undefined;
      const action = into ? into.onCommit : body.oncommit;
      const relation = (into ? into.rel : body.relation) as Node | undefined;
      if (action === 'ONCOMMIT_DROP') return plain({ dropsAtCommit: String(relation?.relname) }, { ddl: true });
      if (action === 'ONCOMMIT_DELETE_ROWS') {
        return refused(
          common,
          'CREATE TEMPORARY TABLE … ON COMMIT DELETE ROWS',
          'it acts at commits, which never happen here',
        );
      }
      return plain({}, { ddl: true });
    }
    case 'AlterEnumStmt':
      return plain(body.newVal !== undefined ? { addsEnumValue: true } : {}, { ddl: true });
    default: {
      if (UTILITY.has(type)) return plain();
      if (!DML.has(type)) return plain({}, { ddl: true });
      const clock = clockUses(text, type, body);
      const insert = type === 'InsertStmt' ? readInsert(text, body) : undefined;
      const traits = { ...callTraits(body), ...(clock && { clock }), ...(insert && { insert }) };
      const into = type === 'SelectStmt' && body.intoClause !== undefined;
      return plain(traits, { writes: !readsOnly({ [type]: body }), ddl: into });
    }
  }
}
