// The rooms of lib, and who may use whom: read by `npm run lint` (dependency-cruiser). Type imports count like others.
// What stands against it today is listed in rooms-known.json. That list only shrinks: `npm run lint:rooms:known` writes
// it anew, and test/lint/rooms.test.ts fails on an entry that is no longer true.

/** Each room, and the rooms that it may use, by their `index.ts` (verbs) and `contract.ts` (types). All may use base. */
const ROOMS = {
  base: [],
  wire: [],
  sandbox: ['wire'],
  drivers: ['sandbox', 'wire'],
  // Both take the connections that drivers opens for them.
  snapshot: ['drivers'],
  database: ['drivers'],
  isolation: ['drivers', 'sandbox', 'snapshot', 'database'],
  mocha: [],
  config: [],
  report: [],
  cli: ['config', 'database', 'report', 'snapshot'],
  helpers: [],
};

/** The same inside the sandbox: each sub-room, and those that it may use. */
const SANDBOX = {
  engine: ['sessions', 'clock', 'catalog', 'statements'],
  sessions: ['catalog', 'statements'],
  clock: ['catalog', 'statements'],
  catalog: ['statements'],
  statements: [],
};

/** What a user can name, and what puts the rooms together. They may use every room; no room may use them. */
const ASSEMBLY = ['index', 'register', 'embedded', 'reporter', 'plugin'];

/** Files of base and helpers that still lie loose in lib. Base uses base only; a helper uses base and helpers. */
const LOOSE = {
  base: [
    'audit-plan',
    'edit-distance',
    'environment',
    'explicit-mode',
    'errors',
    'facts',
    'modes',
    'own-sockets',
    'peers',
    'pooler',
    'run-facts',
    'scope',
    'sql',
    'timers',
  ],
  helpers: ['tagged', 'unique'],
};

const anyOf = (list) => `(?:${list.join('|')})`;
const looseOf = (room) => (LOOSE[room] ? [`^lib/${anyOf(LOOSE[room])}[.]ts$`] : []);
const inRoom = (room) => [`^lib/${room}/`, ...looseOf(room)];

const against = (folder, rooms, filesOf, always) =>
  Object.entries(rooms).map(([room, allowed]) => ({
    name: `${folder}-${room}`,
    comment: `${room} may use ${[...allowed, ...always].join(', ') || 'no other room'}: see test/rooms.cjs.`,
    severity: 'error',
    from: { path: filesOf(room) },
    to: { path: `^${folder}/`, pathNot: [room, ...allowed, ...always].flatMap(filesOf) },
  }));

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    {
      name: 'no-circle',
      comment: 'No two files need each other, not even for a type: what both need stands in a contract.ts of its own.',
      severity: 'error',
      from: {},
      // Circles through an index are left to own-index and to the map: one of the two fails on each of them.
      to: { circular: true, viaOnly: { pathNot: '/index[.]ts$' } },
    },
    {
      name: 'past-the-index',
      comment: "A room's index.ts and contract.ts are its face; the rest of its folder is private.",
      severity: 'error',
      from: { path: '^lib/([^/]+)(?:/|[.]ts$)' },
      to: { path: '^lib/(?!base/)[^/]+/', pathNot: ['^lib/$1/', '^lib/[^/]+/(?:index|contract)[.]ts$'] },
    },
    {
      name: 'past-the-index-of-a-sub-room',
      comment: "A sub-room's index.ts and contract.ts are its face; the rest of its folder is private.",
      severity: 'error',
      from: { path: '^lib/sandbox/([^/]+)(?:/|[.]ts$)' },
      to: { path: '^lib/sandbox/[^/]+/', pathNot: ['^lib/sandbox/$1/', '^lib/sandbox/[^/]+/(?:index|contract)[.]ts$'] },
    },
    {
      name: 'own-index',
      comment: 'A room never imports its own index: types that its files share stand in its contract.ts.',
      severity: 'error',
      from: { path: '^lib/([^/]+)/' },
      to: { path: '^lib/$1/index[.]ts$' },
    },
    {
      name: 'up-to-the-assembly',
      comment: 'A room may not use the files that put rooms together.',
      severity: 'error',
      from: { path: ['^lib/[^/]+/', ...looseOf('base'), ...looseOf('helpers')] },
      to: { path: `^lib/${anyOf(ASSEMBLY)}[.]ts$` },
    },
    {
      name: 'unknown-place',
      comment: 'A file of lib belongs to a room of test/rooms.cjs.',
      severity: 'error',
      from: {},
      to: {
        path: '^lib/',
        pathNot: [...Object.keys(ROOMS).flatMap(inRoom), `^lib/${anyOf(ASSEMBLY)}[.]ts$`],
      },
    },
    ...against('lib', ROOMS, inRoom, ['base']),
    ...against('lib/sandbox', SANDBOX, (room) => [`^lib/sandbox/${room}/`], []),
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
  },
};
