/** Adjacent frames of one chunk, so that they are handed on together, without a copy. */
export class FrameRange {
  private chunk: Buffer | undefined;
  private start = 0;
  private end = 0;

  /** False if the frame does not adjoin. */
  extend(chunk: Buffer, start: number, end: number): boolean {
    if (this.chunk !== chunk || this.end !== start) return false;
    this.end = end;
    return true;
  }
  begin(chunk: Buffer, start: number, end: number): void {
    this.chunk = chunk;
    this.start = start;
    this.end = end;
  }
  take(): Buffer | undefined {
    const bytes = this.chunk?.subarray(this.start, this.end);
    this.chunk = undefined;
    return bytes;
  }
}
