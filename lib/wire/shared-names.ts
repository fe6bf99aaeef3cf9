// Statements and portals of a client on a server connection that others use too. The client's names are its own; on the
// server there is one statement for all that have the same text, parameter types and search path.
import { Answer, type Batch } from './batch';
import type { Client, Portal, Statement } from './contract';
import type { ErrorFields } from './error-response';
import { CLOSE_COMPLETE, close, describe, execute, frame, Frontend, NONE, parse, PARSE_COMPLETE } from './frames';
import type { Prepared, PreparedNames } from './prepared-names';
import type { BindRequest, CloseRequest, DescribeRequest, ExecuteRequest, ParseRequest, Request } from './request';

/** What the one who shares the connection knows of a statement. */
export interface StatementView {
  /** What is sent for it. */
  textOf(statement: Statement): string;
  /** Under another search path the same text is another statement. */
  searchPathOf(client: Client): string;
  /** An unnamed statement that is worth a name on the server: it is parsed once for all who send its text. */
  isKept(statement: Statement): boolean;
}

interface Asked {
  readonly client: Client;
  readonly requests: readonly Request[];
}

export class SharedNames {
  private overdue: string[] = [];

  constructor(
    private readonly names: PreparedNames,
    private readonly view: StatementView,
  ) {}

  /** Appends what the server is to be asked for a request of the segment's. Returns the error that is the answer instead. */
  add(request: Request, asked: Asked, batch: Batch): ErrorFields | undefined {
    const { client } = asked;
    switch (request.kind) {
      case 'query':
        client.statements.delete(''); // a simple Query drops it
        batch.query(request.frame);
        return undefined;
      case 'parse':
        return this.parse(request, client, batch);
      case 'bind':
        return this.bind(request, asked, batch);
      case 'describe':
        return this.describe(request, client, batch);
      case 'execute':
        return this.execute(request, client, batch);
      case 'close':
        return this.close(request, client, batch);
    }
  }

  /** The client's portals end with its transaction. Those that have a name on the server are closed with the next batch. */
  portalsEnd(client: Client): void {
    for (const { serverName } of client.portals.values()) if (serverName) this.overdue.push(serverName);
    client.portals.clear();
    if (this.names.unnamedPortal === client) this.names.unnamedPortal = undefined;
  }
  closePortals(batch: Batch): void {
    for (const name of this.overdue.splice(0)) batch.closePortal(name);
  }

  private parse(request: ParseRequest, client: Client, batch: Batch): ErrorFields | undefined {
    const { name, text, types } = request;
    const before = client.statements.get(name);
    if (name !== '' && before) return { code: '42P05', message: `prepared statement "${name}" already exists` };
    const statement: Statement = { text, types };
    client.statements.set(name, statement);
    const undo = (failed: boolean): void => {
      if (client.statements.get(name) !== statement) return;
      if (before && !failed) client.statements.set(name, before);
      else client.statements.delete(name); // a Parse that fails has dropped the unnamed statement before
    };
    const sent = this.view.textOf(statement);
    if (this.isUnnamed(name, statement)) {
      this.names.unnamed = statement;
      batch.show(sent === text ? request.frame : parse('', sent, types), Answer.parse, undo);
      return undefined;
    }
    const prepared = this.take(statement, name, client);
    if (prepared.isSent) batch.answer(PARSE_COMPLETE, undo);
    else {
      prepared.isSent = true;
      batch.show(parse(prepared.name, sent, types), Answer.parse, (failed) => {
        this.names.drop(prepared);
        undo(failed);
      });
    }
    return undefined;
  }

  private isUnnamed(name: string, statement: Statement): boolean {
    return name === '' && !this.view.isKept(statement);
  }

  private take(statement: Statement, wanted: string, client: Client): Prepared {
    const text = this.view.textOf(statement);
    const kind = wanted === '' ? 'kept' : 'named'; // a name that the client has given can be seen on the server
    const path = this.view.searchPathOf(client);
    const types = statement.types === NONE ? '' : statement.types.toString('latin1');
    return this.names.take(`${kind}\0${types}\0${path}\0${text}`, wanted);
  }

  /** The name under which the server has it, parsed unseen where it has not. */
  private use(name: string, statement: Statement, client: Client, batch: Batch): string {
    if (this.isUnnamed(name, statement)) {
      if (this.names.unnamed !== statement)
        batch.hide(parse('', this.view.textOf(statement), statement.types), Answer.parse);
      this.names.unnamed = statement;
      return '';
    }
    const prepared = this.take(statement, name, client);
    if (!prepared.isSent)
      batch.hide(parse(prepared.name, this.view.textOf(statement), statement.types), Answer.parse, () =>
        this.names.drop(prepared),
      );
    prepared.isSent = true;
    return prepared.name;
  }

  private bind(request: BindRequest, asked: Asked, batch: Batch): ErrorFields | undefined {
    const { client } = asked;
    const { portal } = request;
    const statement = client.statements.get(request.statement);
    if (!statement) return noStatement(request.statement);
    const before = client.portals.get(portal);
    if (portal !== '' && before) return { code: '42P03', message: `cursor "${portal}" already exists` };
    const name = this.use(request.statement, statement, client, batch);
    const serverName = this.portalName(request, asked);
    if (before) batch.closePortal(before.serverName);
    if (before) client.portals.delete(portal);
    const same = name === request.statement && serverName === portal;
    const frame = same ? request.frame : bindAgain(request, serverName, name);
    if (serverName === '') {
      this.names.unnamedPortal = client;
      batch.pass(frame, 'bind');
      return undefined;
    }
    const opened: Portal = { statement, serverName };
    client.portals.set(portal, opened);
    batch.show(frame, Answer.bind, () => {
      if (client.portals.get(portal) === opened) client.portals.delete(portal);
    });
    return undefined;
  }

  /**
   * An unnamed portal would be the next Bind's of anyone: it gets a name unless it is read to its end within its segment.
   */
  private portalName(request: BindRequest, { client, requests }: Asked): string {
    if (request.portal !== '') return `rewind_${client.id}_${request.portal}`;
    for (const next of requests.slice(requests.indexOf(request) + 1)) {
      if (next.kind === 'bind' && next.portal === '') break;
      if (next.kind !== 'execute' || next.portal !== '') continue;
      if (next.rowLimit === 0) return '';
      break;
    }
    return `rewind_${client.id}`;
  }

  /** The name under which the server has it; undefined where it has not. */
  private portal(name: string, client: Client): string | undefined {
    const named = client.portals.get(name)?.serverName;
    return named ?? (name === '' && this.names.unnamedPortal === client ? '' : undefined);
  }

  private describe(request: DescribeRequest, client: Client, batch: Batch): ErrorFields | undefined {
    const { what, name, frame: asked } = request;
    if (what === 'portal') {
      const serverName = this.portal(name, client);
      if (serverName === undefined) return noPortal(name);
      batch.pass(serverName === name ? asked : describe(what, serverName), 'rows');
      return undefined;
    }
    const statement = client.statements.get(name);
    if (!statement) return noStatement(name);
    const serverName = this.use(name, statement, client, batch);
    batch.describeStatement(serverName === name ? asked : describe(what, serverName));
    return undefined;
  }

  private execute(request: ExecuteRequest, client: Client, batch: Batch): ErrorFields | undefined {
    const serverName = this.portal(request.portal, client);
    if (serverName === undefined) return noPortal(request.portal);
    const same = serverName === request.portal;
    batch.pass(same ? request.frame : execute(serverName, request.rowLimit), 'execute');
    return undefined;
  }

  private close(request: CloseRequest, client: Client, batch: Batch): undefined {
    const { what, name } = request;
    if (what === 'statement') {
      const statement = client.statements.get(name);
      client.statements.delete(name);
      // others may use the same statement: the server keeps it
      batch.answer(CLOSE_COMPLETE, () => statement && client.statements.set(name, statement));
      return;
    }
    const portal = client.portals.get(name);
    client.portals.delete(name);
    if (portal) batch.show(close('portal', portal.serverName), Answer.close);
    else {
      if (name === '' && this.names.unnamedPortal === client) this.names.unnamedPortal = undefined;
      batch.answer(CLOSE_COMPLETE);
    }
  }
}

const bindAgain = ({ frame: asked, at }: BindRequest, portal: string, statement: string): Buffer =>
  frame(Frontend.bind, portal, statement, asked.subarray(at));

function noStatement(name: string): ErrorFields {
  const which = name === '' ? 'unnamed prepared statement' : `prepared statement "${name}"`;
  return { code: '26000', message: `${which} does not exist` };
}

const noPortal = (name: string): ErrorFields => ({ code: '34000', message: `portal "${name}" does not exist` });
