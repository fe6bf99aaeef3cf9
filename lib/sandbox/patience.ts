import { realTimers } from '../timers';

/** A limit that can be started many times over, and counts from the first. */
export class Patience {
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly ms: number,
    private readonly over: () => void,
  ) {}

  start(): NodeJS.Timeout {
    return (this.timer ??= realTimers.setTimeout(() => {
      this.timer = undefined;
      this.over();
    }, this.ms));
  }

  stop(): void {
    if (this.timer) realTimers.clearTimeout(this.timer);
    this.timer = undefined;
  }
}
