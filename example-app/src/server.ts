// Starts the shop: `node -r ts-node/register src/server.ts`.
import { db } from './db';
import { createShopServer } from './http';
import { sendWaitingMail, watchOutbox } from './outbox';
import { workOnce } from './queue';

async function main(): Promise<void> {
  const send = async (mail: object): Promise<void> => console.log('mail', mail);
  const stop = await watchOutbox(() => void sendWaitingMail(send));
  const pack = async (job: object): Promise<void> => console.log('pack', job);
  const worker = setInterval(() => void workOnce({ pack }), 1000);
  const server = createShopServer().listen(Number(process.env.PORT ?? 3000));
  process.once('SIGTERM', () => {
    clearInterval(worker);
    server.close(() => void stop().then(() => db.destroy()));
  });
}

void main();
