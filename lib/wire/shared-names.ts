// Statements and portals of a client on a server connection that others use too. The client's names are its own; on the
// server there is one statement for all that have the same text, parameter types and search path.
import { Answer, type Batch } from './batch';
import type { Client, Portal, Statement } from './contract';
import type { ErrorFields } from './error-response';
import { CLOSE_COMPLETE, close, describe, execute, frame, Frontend, parse, PARSE_COMPLETE } from './frames';
import type { PreparedNames } from './prepared-names';
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
    if (name === '' && !this.view.isKept(statement)) {
      this.names.unnamed = statement;
      batch.show(sent === text ? request.frame : parse('', sent, types), Answer.parse, undo);
      return undefined;
    }
    const { name: serverName, fresh, key } = this.take(statement, name, client);
    if (fresh)
      batch.show(parse(serverName, sent, types), Answer.parse, (failed) => {
        this.names.drop(key, serverName);
        undo(failed);
      });
    else batch.answer(PARSE_COMPLETE, undo);
    return undefined;
  }

  private take(statement: Statement, wanted: string, client: Client): { name: string; fresh: boolean; key: string } {
    const text = this.view.textOf(statement);
    const kind = wanted === '' ? 'kept' : 'named'; // a name that the client has given can be seen on the server
    const key = `${kind}\0${text}\0${statement.types.toString('latin1')}\0${this.view.searchPathOf(client)}`;
    return { ...this.names.take(key, wanted || undefined), key };
  }

  /** The name under which the server has it, parsed unseen where it has not. */
  private use(name: string, statement: Statement, client: Client, batch: Batch): string {
    if (name === '' && !this.view.isKept(statement)) {
      if (this.names.unnamed !== statement)
        batch.hide(parse('', this.view.textOf(statement), statement.types), Answer.parse);
      this.names.unnamed = statement;
      return '';
    }
    const { name: serverName, fresh, key } = this.take(statement, name, client);
    if (fresh)
      batch.hide(parse(serverName, this.view.textOf(statement), statement.types), Answer.parse, () =>
        this.names.drop(key, serverName),
      );
    return serverName;
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
    if (before?.serverName) batch.closePortal(before.serverName);
    const opened: Portal = { statement, serverName };
    if (serverName === '') this.names.unnamedPortal = opened;
    client.portals.set(portal, opened);
    const same = name === request.statement && serverName === portal;
    const undo = (): void => {
      if (client.portals.get(portal) === opened) client.portals.delete(portal);
    };
    batch.show(same ? request.frame : frame(Frontend.bind, serverName, name, request.rest), Answer.bind, undo);
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

  private portal(name: string, client: Client): Portal | undefined {
    const portal = client.portals.get(name);
    return portal?.serverName === '' && this.names.unnamedPortal !== portal ? undefined : portal;
  }

  private describe(request: DescribeRequest, client: Client, batch: Batch): ErrorFields | undefined {
    const { what, name, frame: asked } = request;
    if (what === 'portal') {
      const portal = this.portal(name, client);
      if (!portal) return noPortal(name);
      batch.show(portal.serverName === name ? asked : describe(what, portal.serverName), Answer.rows);
      return undefined;
    }
    const statement = client.statements.get(name);
    if (!statement) return noStatement(name);
    const serverName = this.use(name, statement, client, batch);
    batch.describeStatement(serverName === name ? asked : describe(what, serverName));
    return undefined;
  }

  private execute(request: ExecuteRequest, client: Client, batch: Batch): ErrorFields | undefined {
    const portal = this.portal(request.portal, client);
    if (!portal) return noPortal(request.portal);
    const same = portal.serverName === request.portal;
    batch.show(same ? request.frame : execute(portal.serverName, request.rowLimit), Answer.execute);
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
    if (portal?.serverName) batch.show(close('portal', portal.serverName), Answer.close);
    else batch.answer(CLOSE_COMPLETE);
  }
}

function noStatement(name: string): ErrorFields {
  const which = name === '' ? 'unnamed prepared statement' : `prepared statement "${name}"`;
  return { code: '26000', message: `${which} does not exist` };
}

const noPortal = (name: string): ErrorFields => ({ code: '34000', message: `portal "${name}" does not exist` });
