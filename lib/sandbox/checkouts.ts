// Connections of an app on their way out of the app's pools, and back.
import { AppConnection } from './app-client';
import { claimFlow, currentFlow } from './flow';
import type { ClientClass } from './pg-types';
import type { RealSource } from './pinned';
import { leftOpen } from './refusals';
import type { RollbackSandbox } from './sandbox';
import { Session } from './session';

export class Checkouts {
  constructor(private readonly sandbox: RollbackSandbox) {}

  /** A connection for a pool to keep; resolves once the real one is there. */
  async connect(source: RealSource, driver: ClientClass, settings: unknown): Promise<AppConnection> {
    const connection = this.create(source, driver, settings);
    await connection.client.connect();
    return connection;
  }

  create(source: RealSource, driver: ClientClass, settings: unknown): AppConnection {
    const session = new Session(this.sandbox, source);
    return (session.connection = new AppConnection(driver, session, settings));
  }

  /** Whatever has to be there before the first statement can run; rejects as the pool does where there is no server. */
  async prepare(source: RealSource): Promise<void> {
    await this.sandbox.welcome(source);
  }

  owns(connection: AppConnection): boolean {
    return connection.route instanceof Session && connection.route.host === this.sandbox;
  }

  /**
   * The connection leaves the pool: it belongs to the current scope, and to the transaction callback it is acquired in.
   * Returns where the transaction is begun that it is acquired for.
   */
  checkout(connection: AppConnection, evict?: () => void): Session['site'] {
    const session = connection.route as Session;
    session.evict = evict;
    session.level = this.sandbox.current;
    session.cut = undefined;
    const own = claimFlow(session);
    session.inside = own ? own.parent : currentFlow();
    return (session.site = own?.site);
  }

  /** The connection goes back to the pool. */
  checkin(connection: AppConnection): void {
    const session = connection.route as Session;
    session.level = undefined;
    if (connection.client && (connection.client as { __knex__disposed?: unknown }).__knex__disposed) {
      // given up on: what it has not sent yet must not run (a timed-out query that was still waiting)
      this.sandbox.dropQueued(
        (task) => task.session === session,
        () => new Error('the connection was given up on'),
      );
      void connection.client.end();
    }
    if (session.tx) {
      this.sandbox.report(
        leftOpen(
          'a transaction',
          `a connection that ${this.sandbox.nameOf(this.sandbox.current)} gave back to its pool`,
        ),
      );
      this.sandbox.endTransaction(session);
      this.sandbox.pump();
    }
  }
}
