// Temporary tables, views and sequences. Below all client connections is one session, which sees them all; so who has
// made which is kept here, and a statement of another connection that names one is refused.
import { functionName } from './functions';
import { parse, type Node } from './parser';
import { temporaryElsewhere } from './refusals';
import type { Session, Task } from './session';
import type { SavepointStack } from './stack';
import { inner, list, walk } from './tree';

const key = (name: string): string => `temporary ${name}`;

export class Temporaries {
  /** All that were ever made; the stack knows which are there. */
  private readonly names = new Set<string>();

  constructor(private readonly stack: SavepointStack) {}

  made(session: Session, name: string): void {
    this.names.add(name);
    this.stack.note(key(name), session);
  }

  gone(name: string): void {
    if (this.stack.noted(key(name)) !== undefined) this.stack.note(key(name), undefined);
  }

  /** Of this connection's, those that the statement drops. */
  dropped({ session }: Task, names: readonly string[]): void {
    for (const name of names) if (this.stack.noted(key(name)) === session) this.gone(name);
  }

  refuse({ session, text }: Task): Error | undefined {
    if (this.names.size === 0) return undefined;
    const others = [...this.names].filter((name) => {
      const maker = this.stack.noted(key(name));
      return maker !== undefined && maker !== session && text.toLowerCase().includes(name.toLowerCase());
    });
    if (others.length === 0) return undefined;
    const named = namesIn(text);
    const name = others.find((other) => named.has(other));
    return name === undefined ? undefined : temporaryElsewhere(text, name);
  }
}

/** Built-in functions that are told the name of a relation. */
const NAMING = new Set(['to_regclass', 'nextval', 'currval', 'setval']);

/** Relations that a text may name without a schema of their own. */
function namesIn(text: string): ReadonlySet<string> {
  const names = new Set<string>();
  const common = new Set<string>();
  const addLast = (node: unknown): void => {
    const value = (inner(node, 'A_Const')?.sval as Node | undefined)?.sval;
    if (typeof value === 'string') names.add(value.replace(/^.*\./, '').replaceAll('"', ''));
  };
  walk(parse(text) ?? [], (type, node) => {
    if (type === 'CommonTableExpr') common.add(String(node.ctename));
    if (type === 'TypeCast') addLast(node.arg);
    if (type === 'FuncCall' && NAMING.has(functionName(node))) for (const arg of list(node.args)) addLast(arg);
    if (typeof node.relname === 'string') addRelation(node, names);
  });
  for (const statement of parse(text) ?? []) for (const name of droppedBy(statement.body)) names.add(name);
  for (const name of common) names.delete(name);
  return names;
}

function addRelation({ schemaname, relname }: Node, names: Set<string>): void {
  if (schemaname === undefined || isTemporarySchema(schemaname)) names.add(String(relname));
}

function isTemporarySchema(name: unknown): boolean {
  return typeof name === 'string' && name.startsWith('pg_temp');
}

/** What a DROP names. */
export function droppedBy(body: Node): readonly string[] {
  const names: string[] = [];
  for (const object of list(body.objects)) {
    const last = list(inner(object, 'List')?.items).at(-1);
    const name = inner(last, 'String')?.sval;
    if (typeof name === 'string') names.push(name);
  }
  return names;
}

/** The temporary table, view or sequence that a statement makes. */
export function temporaryMadeBy(type: string, body: Node): string | undefined {
  if (!MAKERS.has(type)) return undefined;
  const into = (body.into ?? body.intoClause) as Node | undefined;
  const made = (into ? into.rel : (body.relation ?? body.view ?? body.sequence)) as Node | undefined;
  if (!made || (type === 'SelectStmt' && !into)) return undefined;
  const isTemporary = made.relpersistence === 't' || isTemporarySchema(made.schemaname);
  return isTemporary ? String(made.relname) : undefined;
}

const MAKERS = new Set(['CreateStmt', 'CreateTableAsStmt', 'ViewStmt', 'CreateSeqStmt', 'SelectStmt']);
