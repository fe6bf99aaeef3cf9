// A real browser, where there is one.
import fs from 'node:fs';
import path from 'node:path';
import { type Browser, chromium } from 'playwright-core';

const NAMES = [
  'chromium',
  'chromium-browser',
  'chromium-headless-shell',
  'google-chrome',
  'google-chrome-stable',
  'msedge',
];

/** `REWIND_TEST_BROWSER`, or a Chromium on the PATH. */
export function findBrowser(): string | undefined {
  const named = process.env['REWIND_TEST_BROWSER'];
  if (named) return named;
  const folders = (process.env['PATH'] ?? '').split(path.delimiter);
  return folders.flatMap((folder) => NAMES.map((name) => path.join(folder, name))).find((file) => fs.existsSync(file));
}

export function launch(executablePath: string): Promise<Browser> {
  // Chromium's own sandbox refuses to start for root, which CI often is.
  return chromium.launch({ executablePath, args: process.getuid?.() === 0 ? ['--no-sandbox'] : [] });
}
