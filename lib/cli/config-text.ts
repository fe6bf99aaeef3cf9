import path from 'node:path';
import type { KnexModule } from './find-knex';
import type { Mode } from '../modes';

export interface ConfigChoices {
  readonly typescript: boolean;
  readonly esm: boolean;
  /** Whether imports have to name the TypeScript file itself. */
  readonly stripped: boolean;
  readonly knex: KnexModule | undefined;
  readonly hasKnexfile: boolean;
  /** Whether there are files for Knex to run. */
  readonly migrations: boolean;
  readonly seeds: boolean;
  /** Left out where it is what untagged tests get anyway. */
  readonly start: Mode;
}

export function configName({ typescript }: ConfigChoices): string {
  return typescript ? 'rewind.config.ts' : 'rewind.config.js';
}

/** The config file in the project's own language and module system. */
export function configText(choices: ConfigChoices): string {
  const { typescript, esm, knex, start } = choices;
  const imports = typescript || esm;
  const lines = [
    ...(imports
      ? ["import { defineConfig } from 'mocha-rewind';"]
      : ["const { defineConfig } = require('mocha-rewind');"]),
    ...(knex ? [importLine(knex, choices)] : []),
    '',
    `${imports ? 'export default' : 'module.exports ='} defineConfig({`,
    ...(knex
      ? ['  knex,']
      : ['  // knex: the instance your app uses. Without it, every PostgreSQL instance is managed.']),
    ...(start === 'rollback' ? [] : START[start]),
    ...setUpLines(choices),
    '});',
    '',
  ];
  return lines.join('\n');
}

/** Only proposed where the project's own hooks may do it already, or where it isn't known to work. */
function setUpLines({ hasKnexfile, knex, migrations, seeds, start }: ConfigChoices): string[] {
  const line = (text: string, exists: boolean): string[] => {
    if (exists && knex && start === 'rollback') return [`  ${text}`];
    return hasKnexfile || exists ? [`  // ${text}`] : [];
  };
  return [...line('migrate: (db) => db.migrate.latest(),', migrations), ...line('seed: (db) => db.seed.run(),', seeds)];
}

const START: Readonly<Record<Exclude<Mode, 'rollback'>, readonly string[]>> = {
  unmanaged: [
    "  // Nothing changes yet: your own cleaning goes on. Next: 'truncate', then take this line out (rollback).",
    "  default: 'unmanaged',",
  ],
  truncate: ["  default: 'truncate',"],
  nodb: ["  default: 'nodb',"],
  schema: ["  default: 'schema',"],
  dirty: ["  default: 'dirty',"],
};

function importLine(knex: KnexModule, { typescript, esm, stripped }: ConfigChoices): string {
  const from = `'./${stripped ? knex.path : specifier(knex.path, esm)}'`;
  const name = knex.exported;
  if (typescript || esm) {
    if (name === 'default' || (name === 'module.exports' && esm)) return `import knex from ${from};`;
    if (name === 'module.exports') return `import knex = require(${from});`;
    return name === 'knex' ? `import { knex } from ${from};` : `import { ${name} as knex } from ${from};`;
  }
  if (name === 'module.exports') return `const knex = require(${from});`;
  if (name === 'default') return `const { default: knex } = require(${from});`;
  return name === 'knex' ? `const { knex } = require(${from});` : `const { ${name}: knex } = require(${from});`;
}

/** Real ES modules are imported by their full name, that of the compiled file; anything else by the module's. */
function specifier(file: string, esm: boolean): string {
  const { dir, name, ext } = path.posix.parse(file);
  const stem = dir === '' ? name : `${dir}/${name}`;
  if (esm || ext.length > '.js'.length) return stem + ext.replace('ts', 'js');
  return name === 'index' && dir !== '' ? dir : stem;
}
