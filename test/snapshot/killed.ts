// A process that is killed in the middle of a run: takes a baseline, changes the database, says so, and waits.
import { openSnapshot } from '../../lib/snapshot';
import { own } from './support';

async function main(url: string): Promise<void> {
  const snapshot = await openSnapshot({ connect: () => own(url), note: () => {} });
  await snapshot.take();
  const app = await own(url);
  await app.query(`insert into users (name) values ('suite')`);
  await snapshot.push();
  await app.query(`truncate users cascade; insert into log values ('killed')`);
  console.log('ready');
}

void main(process.argv[2] ?? '');
