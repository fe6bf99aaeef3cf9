import { type SourceFile, withoutComments } from './source-files';

/** A module that makes a Knex instance and exports it. */
export interface KnexModule {
  /** Relative to the package's folder. */
  readonly path: string;
  /** The name it is exported by; `default`: `export default`; `module.exports`: the CommonJS module is the instance. */
  readonly exported: string;
}

const IDENTIFIER = String.raw`[A-Za-z_$][\w$]*`;
/** `from 'knex'`, `require('knex')`, `import('knex')`. */
const USES_KNEX = /(?:\bfrom\s*|\brequire\s*\(\s*|\bimport\s*\(\s*)(['"])knex\1/;
/** The call that makes an instance: `knex(…)`, `Knex(…)`, `knexFactory.knex(…)`, `require('knex')(…)`. */
const FACTORY = String.raw`(?:${IDENTIFIER}\s*\.\s*)?(?:[kK]nex|createKnex|knexFactory|makeKnex)(?:\.default)?\s*(?:<[^=;]*?>)?\s*\(|require\s*\(\s*['"]knex['"]\s*\)(?:\s*\.\s*(?:knex|default))?\s*\(`;
const TYPE = String.raw`(?:\s*:\s*[^=;]+?)?`;

/**
 * Modules that export an instance, the likeliest first; those of tests and scripts only where the app has none. Told from
 * their text: nothing is loaded.
 */
export function findKnexModules(files: readonly SourceFile[]): KnexModule[] {
  const found = files
    .filter(
      (file) => !/(?:^|\/)(?:knexfile|rewind\.config)\.[cm]?[jt]s$|(?:^|\/)(?:migrations|seeds)\//.test(file.path),
    )
    .flatMap((file) => {
      const text = withoutComments(file.text);
      const exported = USES_KNEX.test(text) ? exportedInstance(text) : undefined;
      return exported === undefined ? [] : [{ path: file.path, exported }];
    })
    .sort((a, b) => likelihood(b.path) - likelihood(a.path));
  const ofApp = found.filter((module) => !FOR_TESTS.test(module.path));
  return ofApp.length > 0 ? ofApp : found;
}

const FOR_TESTS = /(?:^|\/)(?:tests?|spec|specs|__tests__|scripts|bench|examples?)\//;

export function findKnexfile(files: readonly SourceFile[]): string | undefined {
  return files.find((file) => /(?:^|\/)knexfile\.[cm]?[jt]s$/.test(file.path))?.path;
}

function exportedInstance(text: string): string | undefined {
  const named = matchAfter(
    text,
    String.raw`\bexport\s+(?:const|let|var)\s+(${IDENTIFIER})${TYPE}\s*=\s*(?:${FACTORY})`,
  );
  if (named) return named;
  if (matches(text, String.raw`\bexport\s+default\s+(?:${FACTORY})`)) return 'default';
  if (matches(text, String.raw`\b(?:module\.exports\s*=|export\s*=)\s*(?:${FACTORY})`)) return 'module.exports';
  const property = matchAfter(text, String.raw`\b(?:module\.)?exports\.(${IDENTIFIER})\s*=\s*(?:${FACTORY})`);
  if (property) return property;
  const variable = matchAfter(text, String.raw`^(?:const|let|var)\s+(${IDENTIFIER})${TYPE}\s*=\s*(?:${FACTORY})`);
  return variable === undefined ? undefined : exportOf(text, variable);
}

/** By what name a variable leaves its module. */
function exportOf(text: string, variable: string): string | undefined {
  const name = variable.replaceAll('$', String.raw`\$`);
  if (matches(text, String.raw`\bexport\s+default\s+${name}\b`)) return 'default';
  if (matches(text, String.raw`\b(?:module\.exports\s*=|export\s*=)\s*${name}\s*(?:;|$)`)) return 'module.exports';
  const property = matchAfter(text, String.raw`\b(?:module\.)?exports\.(${IDENTIFIER})\s*=\s*${name}\s*(?:;|$)`);
  if (property) return property;
  const list = /\b(?:module\.exports\s*=|export)\s*\{([^}]*)\}/m.exec(text)?.[1];
  for (const item of list?.split(',') ?? []) {
    const [, local, renamed, key, value] =
      new RegExp(
        String.raw`^\s*(${IDENTIFIER})(?:\s+as\s+(${IDENTIFIER}))?\s*$|^\s*(${IDENTIFIER})\s*:\s*(${IDENTIFIER})\s*$`,
      ).exec(item) ?? [];
    if (local === variable) return renamed ?? variable;
    if (value === variable) return key;
  }
  return undefined;
}

function matches(text: string, pattern: string): boolean {
  return new RegExp(pattern, 'm').test(text);
}

function matchAfter(text: string, pattern: string): string | undefined {
  return new RegExp(pattern, 'm').exec(text)?.[1];
}

/** `src/db.ts` before `src/billing/report-db.ts`. */
function likelihood(path: string): number {
  const named = /(?:^|\/)(?:db|knex|database|connection|pg|postgres)(?:\/index)?\.[cm]?[jt]s$/i.test(path) ? 10 : 0;
  return named - path.split('/').length;
}
