import { placeIn } from './hook-place';
import { type MochaClass, loadedMochas } from './mocha-private';

/**
 * The plugin has been loaded, and does nothing before Mocha, or whoever makes one, has called `mochaHooks`. A run that
 * begins without that does not run: its tests would write to the database for good, and pass.
 *
 * @param refusal - given the place of the user's that has loaded it, if that can be told.
 */
export function expectActivation(isActive: () => boolean, refusal: (place: string | undefined) => Error): void {
  const trace: { stack?: string } = {};
  Error.captureStackTrace(trace, expectActivation);
  let told = false;
  const refuse = (): Error => {
    told = true;
    return refusal(placeIn(trace.stack ?? ''));
  };
  const mochas = loadedMochas();
  for (const mocha of mochas) refuseToRun(mocha, isActive, refuse);
  if (mochas.length > 0) return;
  // A program may load Mocha after us, which can be seen only when all is over.
  process.once('exit', () => {
    if (told || isActive() || loadedMochas().length === 0) return;
    process.stderr.write(`\n${refuse().message}\n`);
    process.exitCode ||= 1;
  });
}

function refuseToRun(mocha: MochaClass, isActive: () => boolean, refuse: () => Error): void {
  const { run } = mocha.prototype;
  mocha.prototype.run = function (done) {
    if (!isActive()) throw refuse();
    return run.call(this, done);
  };
}
