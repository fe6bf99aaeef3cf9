// What a seeded baseline was made from, in one word.
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import type { Knex } from 'knex';
import picomatch from 'picomatch';
import { fileMatcher } from './glob';
import type { LoadedConfig } from './index';
import { setUpFoldersOf } from './knex-seam';
import { configMistake } from './mistake';
import { placeOf } from './place';

/**
 * Changes with the config file, with `migrate` and `seed` themselves, with what lies in the migration and seed folders of
 * the instances, and with the files that `reuse` names. Undefined: the config does not want a baseline used again.
 */
export function fingerprintOf(loaded: LoadedConfig, instances: Readonly<Record<string, Knex>>): string | undefined {
  const { config, root, file } = loaded;
  if (!config.reuse) return undefined;
  const globs = config.reuse === true ? [] : [config.reuse].flat();
  const files = [
    ...(file === undefined ? [] : [file]),
    ...Object.values(instances).flatMap((knex) => inSetUpFolders(knex, globs.length > 0, loaded)),
    ...globs.flatMap((glob) => named(glob, loaded)),
  ];
  const hash = createHash('sha256').update(`${String(config.migrate)}\n${String(config.seed)}\n`);
  for (const found of [...new Set(files)].sort()) {
    // Each part says where it ends: what moves from one file to the next is a change, too.
    const contents = fs.readFileSync(found);
    hash.update(`${path.relative(root, found)} ${contents.length}\n`).update(contents);
  }
  return hash.digest('hex').slice(0, 32);
}

function inSetUpFolders(knex: Knex, namesFiles: boolean, { config }: LoadedConfig): string[] {
  const { folders, hasOwnSource } = setUpFoldersOf(knex);
  if (hasOwnSource && !namesFiles) {
    throw configMistake({
      problem: `${placeOf(config)}: \`reuse: true\` watches Knex's migration and seed folders, and this instance has a source of its own (migrationSource or seedSource).`,
      remedy: "Name that source's files: `reuse: ['db/migrations/**']`.",
    });
  }
  return folders.flatMap((folder) => filesIn(path.resolve(folder)));
}

function named(glob: string, { config, root }: LoadedConfig): string[] {
  const files = filesIn(path.join(root, picomatch.scan(glob).base)).filter(fileMatcher(glob, root));
  if (files.length > 0) return files;
  throw configMistake({
    problem: `${placeOf(config)}: \`reuse\` names ${JSON.stringify(glob)}, and there is no such file.`,
    remedy: `Mend the glob: it is relative to the package's folder, ${root}.`,
  });
}

/** All files at or below a place; none where there is nothing. */
function filesIn(place: string): string[] {
  const stat = fs.statSync(place, { throwIfNoEntry: false });
  if (!stat) return [];
  if (!stat.isDirectory()) return [place];
  return fs
    .readdirSync(place)
    .filter((name) => name !== 'node_modules')
    .flatMap((name) => filesIn(path.join(place, name)));
}
