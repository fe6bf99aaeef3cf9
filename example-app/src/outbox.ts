// Mail is first written to a table, in the transaction that is the reason for it, and sent once that has committed.
import type { Knex } from 'knex';
import { Client } from 'pg';
import { databaseUrl, db } from './db';

export interface Mail {
  /** Id of the user who gets it. */
  recipient: number;
  subject: string;
  body: string;
}

export type SendMail = (mail: Mail) => Promise<void>;

export async function writeMail(mail: Mail, on: Knex = db): Promise<void> {
  await on('outbox').insert(mail);
}

/** Sends what is waiting, oldest first, and says how much that was. Any number of processes may do this at once. */
export async function sendWaitingMail(send: SendMail, on: Knex = db): Promise<number> {
  let sent = 0;
  while (await sendOne(send, on)) sent++;
  return sent;
}

function sendOne(send: SendMail, on: Knex): Promise<boolean> {
  return on.transaction(async (trx) => {
    const mail = await trx('outbox').whereNull('sent_at').orderBy('id').first().forUpdate().skipLocked();
    if (!mail) return false;
    await send({ recipient: mail.recipient, subject: mail.subject, body: mail.body });
    await trx('outbox').where({ id: mail.id }).update({ sent_at: trx.fn.now() });
    return true;
  });
}

/** Calls `onMail` whenever mail has been committed (a trigger notifies). Returns how to stop. */
export async function watchOutbox(onMail: () => void): Promise<() => Promise<void>> {
  const client = new Client({ connectionString: databaseUrl });
  await client.connect();
  client.on('notification', onMail);
  await client.query('listen outbox');
  return () => client.end();
}
