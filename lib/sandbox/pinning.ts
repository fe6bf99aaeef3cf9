// Of which pool the pinned session is, and when it is another one.
import { loadParser } from './parser';
import { Pinned, type Lender, type RealSource } from './pinned';
import { Profiles } from './profiles';
import type { RollbackSandbox } from './sandbox';

export class Pinning {
  readonly profiles = new Profiles();
  pinned: Pinned | undefined;
  private pending: Promise<Pinned> | undefined;

  constructor(private readonly sandbox: RollbackSandbox) {}

  ready(source: RealSource, by?: Lender): Promise<Pinned> {
    if (this.pinned && !this.pinned.lost) return Promise.resolve(this.pinned);
    this.pending ??= Promise.all([this.drop().then(() => this.pin(source, by)), loadParser()])
      .then(([pinned]) => pinned)
      .finally(() => (this.pending = undefined));
    return this.pending;
  }

  /** Makes sure that connections of this pool get what they would have in production. */
  async welcome(source: RealSource, by?: Lender): Promise<void> {
    const { profiles } = this;
    if (this.pinned?.isOrphan) await this.pinAnother();
    const pinned = await this.ready(source, by);
    if (!profiles.isKnown(source)) {
      await profiles.look(source, by);
      if (this.pinned !== pinned) return; // whoever has pinned another one has settled it
      profiles.settle(pinned.source);
      this.sandbox.executor.settings.expect(profiles.profileOf(pinned.source), profiles.all);
    }
    if (profiles.best(pinned.source) !== pinned.source) await this.pinAnother();
  }

  async drop(): Promise<void> {
    const { pinned } = this;
    this.pinned = undefined;
    await pinned?.giveBack();
  }

  private async pin(wanted: RealSource, by: Lender | undefined): Promise<Pinned> {
    const { profiles, sandbox } = this;
    profiles.add(wanted);
    const chosen = await profiles.choose(wanted, by);
    const pinned = await this.open(chosen, chosen === wanted ? by : undefined).catch((error: unknown) => {
      if (chosen === wanted) throw error;
      return this.open(wanted, by); // somebody's pool, that nobody may ever use
    });
    sandbox.stack.canChain = pinned.facts.version >= 120000;
    this.pinned = pinned;
    profiles.settle(pinned.source);
    sandbox.executor.shared.startOn();
    sandbox.executor.settings.startOn(profiles.profileOf(pinned.source), profiles.all);
    return pinned;
  }

  private async open(source: RealSource, by: Lender | undefined): Promise<Pinned> {
    const { sandbox } = this;
    const session = await source.lend(by);
    session.onWanted = () => sandbox.lenderEnds();
    session.onDrain = () => sandbox.active?.job.segment.client.drained();
    try {
      return await Pinned.open(session, source, this.profiles, (error) => sandbox.connectionLost(error));
    } catch (error) {
      void session.quit();
      throw error;
    }
  }

  /** Gives the pinned connection back, if that can't be noticed: the next statement gets one that can stand for all. */
  private async pinAnother(): Promise<void> {
    const { sandbox } = this;
    const { stack } = sandbox;
    await sandbox.alone(async (pinned) => {
      if (sandbox.isHeld) return;
      if (!stack.empty || stack.pending) await sandbox.executor.rollback(pinned);
      await this.drop();
    });
  }
}
