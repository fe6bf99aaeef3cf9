// Which pool's connection is the pinned one, and when it is another.
import { scopeContext } from '../scope';
import type { Profile } from '../wire';
import { loadParser } from './parser';
import { Pinned, type RealSource } from './pinned';
import { Profiles } from './profiles';
import type { RollbackSandbox } from './sandbox';

export class Pinning {
  readonly profiles = new Profiles();
  pinned: Pinned | undefined;
  private pending: Promise<Pinned> | undefined;

  constructor(private readonly sandbox: RollbackSandbox) {}

  ready(source: RealSource): Promise<Pinned> {
    if (this.pinned && !this.pinned.lost) return Promise.resolve(this.pinned);
    this.pending ??= Promise.all([this.drop().then(() => this.pin(source)), loadParser()])
      .then(([pinned]) => pinned)
      .finally(() => (this.pending = undefined));
    return this.pending;
  }

  /** Makes sure that connections of this pool get what they would have in production. */
  async welcome(source: RealSource): Promise<Profile> {
    const { profiles } = this;
    profiles.add(source);
    const pinned = await this.ready(source);
    if (!profiles.isKnown(source)) {
      await scopeContext.run(undefined, () => profiles.look(source));
      if (this.pinned !== pinned) return pinned.server.connection; // whoever has pinned another one has settled it
      profiles.settle(pinned.source);
      this.sandbox.executor.settings.expect(profiles.profileOf(pinned.source), profiles.all);
    }
    if (profiles.best(pinned.source) !== pinned.source) await this.pinAnother();
    return pinned.server.connection;
  }

  async drop(): Promise<void> {
    const { pinned } = this;
    this.pinned = undefined;
    await pinned?.giveBack();
  }

  private async pin(wanted: RealSource): Promise<Pinned> {
    const { profiles, sandbox } = this;
    profiles.add(wanted);
    const chosen = await profiles.choose(wanted);
    const pinned = await this.open(chosen).catch((error: unknown) => {
      if (chosen === wanted) throw error;
      return this.open(wanted); // somebody's pool, that nobody may ever use
    });
    sandbox.stack.canChain = pinned.facts.version >= 120000;
    this.pinned = pinned;
    profiles.settle(pinned.source);
    sandbox.executor.shared.startOn();
    sandbox.executor.settings.startOn(profiles.profileOf(pinned.source), profiles.all);
    return pinned;
  }

  private open(source: RealSource): Promise<Pinned> {
    const { sandbox } = this;
    return Pinned.open(source, this.profiles, (error) => sandbox.connectionLost(error));
  }

  /** Gives the pinned connection back, if that can't be noticed: the next statement gets one that can stand for all. */
  private async pinAnother(): Promise<void> {
    const { sandbox } = this;
    const { stack } = sandbox;
    await sandbox.alone(async (pinned) => {
      const bottom = sandbox.levels.find((level) => stack.has(level.mark));
      const isHeld =
        (bottom && stack.writtenSince(bottom.mark)) ||
        sandbox.cursors.size > 0 ||
        sandbox.levels.some((level) => level.locked) ||
        [...sandbox.open].some(({ tx }) => tx?.started);
      if (isHeld) return;
      if (!stack.empty || stack.pending) await sandbox.executor.rollback(pinned);
      await this.drop();
    });
  }
}
