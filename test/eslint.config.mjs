import tseslint from 'typescript-eslint';

/** Who may use whom: each room, and the rooms it may import (by their index alone). Leaf files are open to all. */
const ROOMS = {
  config: [],
  mocha: [],
  isolation: ['sandbox', 'snapshot'],
  sandbox: [],
  snapshot: [],
  database: [],
  wire: [],
  report: [],
  cli: ['config', 'database', 'report', 'snapshot'],
};
/** Types a room may name although it doesn't use the room they come from: what a callback of the user's is given. */
const TYPES_ONLY = { config: ['database'] };
/** `lib/*.ts` that put rooms together. A room must not reach up to them; the other `lib/*.ts` are leaf files. */
const ASSEMBLY = ['index', 'register', 'plugin', 'embedded', 'reporter'];

const names = Object.keys(ROOMS);
/** How deep rooms' folders go, at most. */
const DEPTHS = [1, 2, 3];
const oneOf = (list) => `(?:${list.join('|')})`;

const restricted = (patterns) => ({
  '@typescript-eslint/no-restricted-imports': ['error', { patterns }],
});
const intoRooms = (up, rooms) => ({
  regex: `^${up}${oneOf(rooms)}(?:/.*)?$`,
  message: 'This room may not use that one: see "who may use whom" in test/eslint.config.mjs.',
});
const pastTheIndex = (up, rooms) => ({
  regex: `^${up}${oneOf(rooms)}/.+`,
  message: "Another room's index is its contract; the rest of its folder is private.",
});

const roomRules = names.flatMap((room) => {
  const allowed = ROOMS[room];
  const typesOnly = TYPES_ONLY[room] ?? [];
  const open = [...allowed, ...typesOnly];
  const closed = names.filter((other) => other !== room && !open.includes(other));
  return DEPTHS.map((depth) => {
    const up = '\\.\\./'.repeat(depth);
    return {
      files: [`lib/${room}/${'*/'.repeat(depth - 1)}*.ts`],
      rules: restricted([
        intoRooms(up, closed),
        ...(open.length > 0 ? [pastTheIndex(up, open)] : []),
        ...(typesOnly.length > 0 ? [{ ...intoRooms(up, typesOnly), allowTypeImports: true }] : []),
        {
          regex: `^${up}${oneOf(ASSEMBLY)}$`,
          message: 'A room may not reach up to the files that put rooms together.',
        },
      ]),
    };
  });
});

export default tseslint.config(
  { ignores: ['dist/**', 'reports/**', '**/node_modules/**', 'test/fixtures/**', '**/*.{js,cjs,mjs}'] },
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  {
    files: ['lib/**/*.ts', 'test/**/*.ts', 'example-app/**/*.ts', 'bench/**/*.ts'],
    extends: [tseslint.configs.recommendedTypeChecked],
    languageOptions: {
      parserOptions: { project: './tsconfig.json', tsconfigRootDir: new URL('..', import.meta.url).pathname },
    },
    rules: {
      // Knex builders are thenables, not Promises: without checkThenables an un-awaited knex('t').insert(…) passes unseen.
      '@typescript-eslint/no-floating-promises': ['error', { checkThenables: true }],
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/return-await': ['error', 'in-try-catch'],
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/consistent-type-imports': [
        'error',
        { fixStyle: 'inline-type-imports', disallowTypeAnnotations: false },
      ],
      // Interfaces ask for promises where an implementation may have nothing to wait for.
      '@typescript-eslint/require-await': 'off',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
    },
  },
  { files: ['lib/**/*.ts'], rules: { 'max-lines': ['error', { max: 320 }] } },
  // Leaf files, and the files that put rooms together: through the index only.
  { files: ['lib/*.ts'], rules: restricted([pastTheIndex('\\./', names)]) },
  {
    files: ['lib/*.ts'],
    ignores: ASSEMBLY.map((name) => `lib/${name}.ts`),
    rules: restricted([
      { regex: `^\\./${oneOf([...names, ...ASSEMBLY])}(?:/.*)?$`, message: 'A leaf file uses leaf files only.' },
    ]),
  },
  ...roomRules,
  // Foreign private API has no types worth having, and its methods are taken off to be wrapped.
  {
    files: ['**/*seam*.ts'],
    rules: Object.fromEntries(
      [
        'no-explicit-any',
        'no-unsafe-assignment',
        'no-unsafe-member-access',
        'no-unsafe-call',
        'no-unsafe-argument',
        'no-unsafe-return',
        'unbound-method',
      ].map((rule) => [`@typescript-eslint/${rule}`, 'off']),
    ),
  },
  // Results of knex and of JSON.parse are any; a test says in its assertions what it takes them for. Fixtures are objects
  // of functions, taken apart.
  {
    files: ['test/**/*.ts', 'example-app/**/*.ts', 'bench/**/*.ts'],
    rules: Object.fromEntries(
      [
        'no-unsafe-assignment',
        'no-unsafe-member-access',
        'no-unsafe-call',
        'no-unsafe-argument',
        'no-unsafe-return',
        'unbound-method',
      ].map((rule) => [`@typescript-eslint/${rule}`, 'off']),
    ),
  },
);
