import { Client } from 'pg';
import { openSnapshot } from '/work/main/lib/snapshot';
export async function connect(url: string) {
  const c = new Client({ connectionString: url, application_name: 'mocha-rewind' }); c.on('error', () => {}); await c.connect();
  return { query: ((t: string, v?: unknown[]) => c.query(t as string, v as unknown[])) as never, pid: (c as unknown as {processID:number}).processID, end: () => c.end().catch(() => {}) };
}
(async () => {
  const base = new URL(process.env.DATABASE_URL!); const adm = new Client(base.href); await adm.connect();
  await adm.query('drop database if exists rw_try with (force)'); await adm.query('create database rw_try');
  base.pathname = '/rw_try'; const url = base.href;
  const a = new Client(url); await a.connect();
  await a.query(`create table users (id serial primary key, name text unique not null); insert into users(name) values ('ann'),('bob');
   create table notes (id int generated always as identity, user_id int references users, body text);  create type mood as enum ('a','b'); create table m (m mood, x int)`);
  const s = await openSnapshot({ connect: () => connect(url), note: console.log });
  console.log('recover', await s.recover());
  await s.take();
  console.log(await s.touched());
  await a.query(`insert into users(name) values ('cy'); delete from users where name='ann'; insert into m values ('a',1)`);
  console.log(await s.touched());
  console.log(await s.restore(), (await a.query('select * from users')).rows, (await a.query(`select nextval('users_id_seq')`)).rows);
  console.log(await s.restore());
  await a.query(`insert into users(name) values ('suite')`); await s.push(); await a.query('truncate users cascade; insert into notes(body) values (1)'); console.log(await s.restore(), (await a.query('select * from users')).rows);
  console.log(await s.pop(), (await a.query('select * from users')).rows);
  await a.query('create table newt(id serial primary key); alter table users add column x int; drop type mood cascade');
  console.log(await s.restore());
  console.log(await s.restore());
  await s.close(); await a.end(); 
  await adm.end();
})();
