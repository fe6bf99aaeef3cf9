// Connections of an app on their way out of the app's pools, and back.
import { claimFlow, currentFlow } from './flow';
import { leftOpen } from './refusals';
import type { RollbackSandbox } from './sandbox';
import type { Session } from './session';

export class Checkouts {
  constructor(private readonly sandbox: RollbackSandbox) {}

  /**
   * A connection leaves its pool: it belongs to the current scope, and to the transaction callback it is acquired in.
   * Returns where the transaction is begun that it is acquired for.
   */
  checkout(session: Session): Session['site'] {
    session.level = this.sandbox.current;
    session.cut = undefined;
    const own = claimFlow(session);
    session.inside = own ? own.parent : currentFlow();
    return (session.site = own?.site);
  }

  /** It goes back to its pool. */
  checkin(session: Session): void {
    session.level = session.inside = session.site = undefined;
    if (session.connection.client.__knex__disposed) {
      // given up on: what it has not sent yet must not run (a timed-out query that was still waiting)
      this.sandbox.dropQueued(
        (task) => task.session === session,
        () => new Error('the connection was given up on'),
      );
      this.sandbox.canceling.givenUp(session);
    }
    if (!session.tx) return;
    this.sandbox.report(
      leftOpen('a transaction', `a connection that ${this.sandbox.nameOf(this.sandbox.current)} gave back to its pool`),
    );
    this.sandbox.endTransaction(session);
    this.sandbox.pump();
  }
}
