/**
 * Seam: how Mocha loads spec files. It says so nowhere; read in `lib/nodejs/esm-utils.js` of 10.8.2 and 11.6.0
 * (requireOrImport: `import()` first), 11.7.0, 11.8.0 and 12.0.3 (requireModule: `require` first). Canary:
 * test/config/forms.test.ts, with a loader for which the two ways make two copies.
 */
import { requirePeer } from '../peers';

/** Whether `import()` comes first, and `require` only for what it can't find; otherwise it is the other way round. */
export function specsAreImportedFirst(): boolean {
  const [major = 0, minor = 0] = requirePeer<{ version: string }>('mocha/package.json').version.split('.').map(Number);
  return major < 11 || (major === 11 && minor < 7);
}

/** Errors of `import()` after which Mocha tries `require`. */
export const THEN_REQUIRE: ReadonlySet<string> = new Set([
  'ERR_MODULE_NOT_FOUND',
  'ERR_UNKNOWN_FILE_EXTENSION',
  'ERR_UNSUPPORTED_DIR_IMPORT',
]);
