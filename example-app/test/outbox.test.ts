import assert from 'node:assert/strict';
import { db } from '../src/db';
import { placeOrder } from '../src/orders';
import { type Mail, sendWaitingMail, watchOutbox, writeMail } from '../src/outbox';
import { rendezvous } from './support/rendezvous';
import { cleo, dan } from './support/seeded';
import { committedRows, onSecondConnection } from './support/second-connection';

const HELLO: Mail = { recipient: cleo, subject: 'Hello', body: 'How is the teapot?' };
const fail = (): Promise<void> => Promise.reject(new Error('the mail server is down'));

describe('the outbox', () => {
  it('sends what is waiting, oldest first', async () => {
    await writeMail(HELLO);
    await writeMail({ ...HELLO, recipient: dan });
    const sent: Mail[] = [];
    assert.equal(await sendWaitingMail(async (mail) => void sent.push(mail)), 2);
    assert.deepEqual(sent, [HELLO, { ...HELLO, recipient: dan }]);
  });

  it('sends each mail once', async () => {
    await writeMail(HELLO);
    await sendWaitingMail(async () => {});
    assert.equal(await sendWaitingMail(fail), 0);
  });

  it('keeps what could not be sent', async () => {
    await writeMail(HELLO);
    await assert.rejects(sendWaitingMail(fail), /mail server is down/);
    assert.equal(await sendWaitingMail(async () => {}), 1);
  });

  it('has nothing to send for an order that failed', async () => {
    await assert.rejects(placeOrder({ userId: cleo, lines: [{ sku: 'samovar', quantity: 9 }] }));
    assert.equal(await sendWaitingMail(fail), 0);
  });

  it('writes to nobody who is not a user', async () => {
    await assert.rejects(writeMail({ ...HELLO, recipient: 999 }), /foreign key/);
    assert.equal((await db('outbox').select('id')).length, 0);
  });
});

// What "after the commit" means can only be seen from another connection, once something really is committed.
describe('the outbox after a commit @truncate', () => {
  it('shows nobody a mail before its transaction is over', async () => {
    await db.transaction(async (trx) => {
      await writeMail(HELLO, trx);
      assert.equal(await committedRows('outbox'), 0);
    });
    assert.equal(await committedRows('outbox'), 1);
  });

  it('has the mail of an order, as another process would read it', async () => {
    const order = await placeOrder({ userId: dan, lines: [{ sku: 'spoon', quantity: 4 }] });
    const { rows } = await onSecondConnection((client) => client.query('select recipient, subject, body from outbox'));
    assert.deepEqual(rows, [{ recipient: dan, subject: `Your order ${order.id}`, body: 'You pay 6.00.' }]);
  });

  it('wakes up whoever watches', async () => {
    let woken = (): void => {};
    const notified = new Promise<void>((resolve) => (woken = resolve));
    const stop = await watchOutbox(woken);
    try {
      await writeMail(HELLO);
      await notified;
    } finally {
      await stop();
    }
    assert.equal(await sendWaitingMail(async () => {}), 1);
  });

  it('wakes up nobody for a mail that was taken back', async () => {
    const subjects: string[] = [];
    const read = async (): Promise<void> =>
      void (await sendWaitingMail(async (mail) => void subjects.push(mail.subject)));
    let woken = (): void => {};
    const notified = new Promise<void>((resolve) => (woken = resolve));
    const stop = await watchOutbox(woken);
    try {
      const takenBack = db.transaction(async (trx) => {
        await writeMail({ ...HELLO, subject: 'Taken back' }, trx);
        throw new Error('on second thoughts');
      });
      await assert.rejects(takenBack, /second thoughts/);
      await writeMail({ ...HELLO, subject: 'Meant' });
      await notified;
      await read();
    } finally {
      await stop();
    }
    assert.deepEqual(subjects, ['Meant']);
  });

  it('lets two processes send at once, and no mail twice', async () => {
    await writeMail(HELLO);
    await writeMail({ ...HELLO, recipient: dan });
    const bothSending = rendezvous(2);
    const recipients: number[] = [];
    const send = async (mail: Mail): Promise<void> => {
      recipients.push(mail.recipient);
      await bothSending();
    };
    const counts = await Promise.all([sendWaitingMail(send), sendWaitingMail(send)]);
    assert.deepEqual(counts, [1, 1]);
    assert.deepEqual(recipients.sort(), [cleo, dan]);
  });

  it('is empty in the next test', async () => {
    assert.equal(await committedRows('outbox'), 0);
  });
});
