import type { Profile } from './contract';
import type { ErrorFields } from './error-response';
import type { Entrance } from './route';
import type { Segment } from './segment';

/** All that a client asks for is refused with an error of ours; a client that starts up is turned away with it. */
export class Refusal implements Entrance {
  readonly takes = 'one';

  constructor(private readonly error: (segment?: Segment) => ErrorFields) {}

  async welcome(): Promise<Profile> {
    throw Object.assign(new Error(), this.error(), { severity: 'FATAL' });
  }
  run(segment: Segment): void {
    segment.refuse(this.error(segment));
  }
  copy(): boolean {
    return true;
  }
  cancel(): void {}
  drained(): void {}
  leave(): void {}
}
