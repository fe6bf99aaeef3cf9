// What waits in the sandbox itself, where the server can't see it.
import { shorten } from './origin';
import type { RollbackSandbox } from './sandbox';
import type { Task } from './session';

/** A sentence for each statement that has not been sent, because another one or a transaction has to end first. */
export function waitsIn(sandbox: RollbackSandbox): string[] {
  const { active } = sandbox;
  return sandbox.queue.map((task) => {
    const what = `"${shorten(task.job.text)}" waits`;
    if (active) return `${what} for "${shorten(active.job.text)}": a rolled-back test has one real connection.`;
    if (sandbox.locks.verdict(task) === 'waits') return `${what} for an advisory lock that another connection holds.`;
    if (sandbox.cursors.has(task.session))
      return `${what} for a cursor or stream to end that is open on the same connection.`;
    return `${what} for another connection's transaction to end, ${placeOf(task, sandbox)}: a rolled-back test has one real connection.`;
  });
}

function placeOf(task: Task, sandbox: RollbackSandbox): string {
  const others = [...sandbox.open].filter((session) => session !== task.session);
  const sites = others.flatMap((session) => session.tx?.site ?? []);
  return sites.length > 0 ? `begun at ${sites.join(', ')}` : 'begun without knex.transaction()';
}
