// A peer dependency that is not there.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { type Finished, type Project, project, repo } from '../support/project';

describe('without pg', () => {
  let app: Project;
  beforeEach(() => {
    app = project({
      ownPackages: true,
      files: { 'a.spec.js': `it('a', () => {});`, 'b.spec.js': `it('b', () => {});` },
    });
    const modules = path.join(app.dir, 'node_modules');
    // A link to this repository would find its pg.
    for (const name of ['pg', 'mocha-rewind']) fs.rmSync(path.join(modules, name));
    for (const part of ['dist', 'package.json']) {
      fs.cpSync(path.join(repo, part), path.join(modules, 'mocha-rewind', part), { recursive: true });
    }
  });
  afterEach(() => app.remove());

  const env = { DATABASE_URL: 'postgres://localhost/shop_test' };
  const says = (finished: Finished): void => {
    assert.notEqual(finished.code, 0, finished.output);
    assert.match(finished.output, /REWIND_CONFIG: "pg" is not installed: .*\n +npm install --save-dev pg/);
    assert.doesNotMatch(finished.output, /Require stack|^ +at /m);
  };

  it('a parallel run says what to install @full', async () => {
    says(await app.mocha(['-r', 'mocha-rewind/register', '--parallel', '--jobs', '2', 'a.spec.js', 'b.spec.js'], env));
  });

  it('the command line says what to install', async () => {
    says(await app.cli(['status'], env));
  });
});
