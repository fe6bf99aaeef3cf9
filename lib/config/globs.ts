/** What knows globs. */
export function globs(): typeof import('./glob') {
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- late: picomatch takes 4 ms to load, and few need it
  return require('./glob') as typeof import('./glob');
}
