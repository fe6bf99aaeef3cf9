import fs from 'node:fs';
import { packageRoot } from '../config';
import { configName, configText } from './config-text';
import { diffLines } from './diff';
import { type ProjectFacts, inProject, projectFacts } from './project-facts';
import { requires, withRequired } from './require-line';
import { count, mayWrite, pc, say, sayDiff } from './terminal';

interface Change {
  /** Relative to the package's folder. */
  readonly path: string;
  /** Undefined: the file is new. */
  readonly before: string | undefined;
  readonly after: string;
  /** How to take it back by hand. */
  readonly undo: string;
}

/** Writes the config and the require line, after showing them. Nothing of the project is run, and no file overwritten. */
export async function init(options: { readonly yes: boolean }): Promise<number> {
  const facts = projectFacts(packageRoot(process.cwd()));
  describe(facts);
  const plugins = missingPlugins(facts);
  const changes = planChanges(facts, plugins);
  const byHand = mustBeEditedByHand(facts, plugins);

  if (changes.length === 0 && byHand === undefined) {
    say(`\nNothing to do: ${facts.config} is there, and ${facts.mocha.path} requires the plugin.`);
    return 0;
  }
  for (const change of changes) show(change);
  if (byHand) say(`\n${pc.bold('By hand:')} ${byHand}`);
  if (changes.length > 0 && !(await apply(facts, changes, options.yes))) return 0;
  nextStep(facts);
  return 0;
}

function missingPlugins({ mocha, embeddedPostgres, envFile }: ProjectFacts): string[] {
  const wanted = [...(embeddedPostgres && !envFile ? ['mocha-rewind/embedded'] : []), 'mocha-rewind/register'];
  return wanted.filter((name) => !requires(mocha, name));
}

function describe(facts: ProjectFacts): void {
  const seen = (label: string, text: string): void => say(`  ${label.padEnd(16)} ${text}`);
  const [knex, ...others] = facts.knexModules;
  say(pc.bold('Found'));
  seen('Mocha config', facts.mocha.kind === 'none' ? 'none' : facts.mocha.path);
  seen(
    'Knex instance',
    knex ? `${knex.path} (${knex.exported})` : 'none that is exported; instances are found when they connect',
  );
  if (others.length > 0) seen('', `also ${others.map((module) => module.path).join(', ')}`);
  if (facts.knexfile) seen('knexfile', facts.knexfile);
  if (facts.envFile) seen('Database', `named in ${facts.envFile}`);
  seen('Cleaning hooks', facts.cleaning.length === 0 ? 'none' : count(facts.cleaning.length, 'hook'));
  for (const { path, line, hook, by } of facts.cleaning) seen('', `${path}:${line} ${hook}: ${by}`);
}

function planChanges(facts: ProjectFacts, plugins: readonly string[]): Change[] {
  const changes: Change[] = [];
  if (!facts.config) {
    const choices = {
      typescript: facts.typescript,
      esm: facts.esm,
      stripped: facts.stripped,
      knex: facts.knexModules[0],
      hasKnexfile: facts.knexfile !== undefined,
      migrations: facts.migrations,
      seeds: facts.seeds,
      start: facts.cleaning.length > 0 ? ('unmanaged' as const) : ('rollback' as const),
    };
    const path = configName(choices);
    changes.push({ path, before: undefined, after: configText(choices), undo: `delete ${path}` });
  }
  const { mocha } = facts;
  const after = mocha.kind === 'foreign' ? undefined : withRequired(mocha, plugins);
  if (plugins.length > 0 && after !== undefined) {
    const isNew = mocha.kind === 'none';
    changes.push({
      path: mocha.path,
      before: isNew ? undefined : mocha.text,
      after,
      undo: isNew ? `delete ${mocha.path}` : `take ${list(plugins)} out of ${mocha.path}`,
    });
  }
  return changes;
}

function mustBeEditedByHand({ mocha }: ProjectFacts, plugins: readonly string[]): string | undefined {
  if (plugins.length === 0 || (mocha.kind !== 'foreign' && withRequired(mocha, plugins) !== undefined))
    return undefined;
  return /\.ya?ml$/.test(mocha.path)
    ? `add this to \`require:\` in ${mocha.path}, after what is there${beforeFiles(plugins)}:\n${plugins.map((p) => `  - ${p}`).join('\n')}`
    : `add ${list(plugins)} to \`require\` in ${mocha.path}, after what is there${beforeFiles(plugins)}.`;
}

function beforeFiles(plugins: readonly string[]): string {
  return plugins.includes('mocha-rewind/embedded') ? ' (mocha-rewind/embedded before files of yours)' : '';
}

function show({ path, before, after }: Change): void {
  say(`\n${pc.bold(before === undefined ? `New file ${path}` : `Change in ${path}`)}`);
  sayDiff(diffLines(before, after));
}

/** Whether the changes were made. */
async function apply(facts: ProjectFacts, changes: readonly Change[], yes: boolean): Promise<boolean> {
  const files = changes.map((change) => change.path);
  if (!(await mayWrite(files, yes, 'npx mocha-rewind init --yes'))) return false;
  // `wx` refuses to overwrite a file that has appeared since we looked.
  for (const { path, before, after } of changes) {
    fs.writeFileSync(inProject(facts, path), after, before === undefined ? { flag: 'wx' } : {});
  }
  say(`Written: ${files.join(' and ')}. To undo: ${changes.map((change) => change.undo).join(', ')}.`);
  return true;
}

function nextStep(facts: ProjectFacts): void {
  say(`\n${pc.bold('Next')}`);
  if (!facts.installed) say('  npm install --save-dev mocha-rewind');
  if (facts.cleaning.length === 0) {
    say('  npx mocha: every test is rolled back. Tag those that really have to commit @truncate.');
    return;
  }
  say("  npx mocha: nothing changes yet, for the config starts with default: 'unmanaged'.");
  say("  Then make it 'truncate', then take the line out; the cleaning hooks can go at the end (docs/adopt.md).");
}

function list(modules: readonly string[]): string {
  return modules.map((name) => `"${name}"`).join(', ');
}
