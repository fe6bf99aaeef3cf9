import { RewindError } from '../errors';
import type { Snapshot } from '../snapshot';
import { afresh } from './complaints';
import type { Need } from './need';

/** Takes a database's snapshot when it is needed; where the role may not have one, tests that roll back do without. */
export class NeededSnapshot {
  #askedForKept = false;
  #refusal: RewindError | undefined;

  constructor(
    private readonly snapshot: Snapshot,
    private readonly need: () => Need,
    private readonly note: (sentence: string) => void,
  ) {}

  /** Before anything is written, and only if need be. */
  async take(): Promise<void> {
    const need = this.need();
    if (this.snapshot.taken || this.#refusal || need === 'no' || (need === 'if kept' && this.#askedForKept)) return;
    this.#askedForKept = true;
    if (need === 'if kept') await this.snapshot.adopt();
    else await this.#takeUnlessRefused();
  }

  /** @throws RewindError `REWIND_PRIVILEGE` where nothing that is committed could be restored. */
  assertRestorable(): void {
    if (this.#refusal && this.need() === 'yes') throw afresh(this.#refusal);
  }

  async #takeUnlessRefused(): Promise<void> {
    try {
      await this.snapshot.take();
    } catch (error) {
      if (!(error instanceof RewindError) || error.code !== 'REWIND_PRIVILEGE') throw error;
      this.#refusal = error;
      this.note(`there is no snapshot: ${error.problem}`);
    }
  }
}
