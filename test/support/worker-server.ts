// Loaded before lib/embedded.ts: in a parallel run each worker has an embedded server of its own, and the main process,
// which runs no test, has none. Some tests take it for granted that nobody else writes on their server.
const { env } = process;
const LEFT_TO_WORKERS = 'left to workers';

if (env.MOCHA_WORKER_ID === undefined) {
  if (process.argv.includes('--parallel')) env.DATABASE_URL ??= LEFT_TO_WORKERS;
} else if (env.DATABASE_URL === LEFT_TO_WORKERS) delete env.DATABASE_URL;
