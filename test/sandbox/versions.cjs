// Preloaded by versions.test.ts: `knex` and `pg` mean the copies named in the environment, for everybody in the process.
const Module = require('node:module');

const aliases = { knex: process.env.REWIND_TEST_KNEX, pg: process.env.REWIND_TEST_PG };
const resolve = Module._resolveFilename;
Module._resolveFilename = function (request, ...rest) {
  const [name, ...inside] = request.split('/');
  const alias = aliases[name];
  return resolve.call(this, alias ? [alias, ...inside].join('/') : request, ...rest);
};
