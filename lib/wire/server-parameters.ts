import { parameterStatus } from './frames';

/** What ParameterStatus has told, now. */
export class ServerParameters {
  private readonly values = new Map<string, string>();
  /** Grows with each change, so that who has been told can see in no time that there is no news. */
  version = 0;

  constructor(values: Iterable<readonly [string, string]> = []) {
    for (const [name, value] of values) this.set(name, value);
  }
  set(name: string, value: string): void {
    this.values.set(name, value);
    this.version++;
  }
  get(name: string): string | undefined {
    return this.values.get(name);
  }
  [Symbol.iterator](): Iterator<[string, string]> {
    return this.values.entries();
  }
}

/** What one client has been told of them. */
export class ToldParameters {
  private readonly values = new Map<string, string>();
  private of: ServerParameters | undefined;
  private version = 0;

  /** The ParameterStatus frames that are news to it; it is told with them. */
  news(parameters: ServerParameters): Buffer | undefined {
    if (this.of === parameters && this.version === parameters.version) return undefined;
    this.of = parameters;
    this.version = parameters.version;
    const frames: Buffer[] = [];
    for (const [name, value] of parameters) {
      if (this.values.get(name) === value) continue;
      this.values.set(name, value);
      frames.push(parameterStatus(name, value));
    }
    return frames.length > 0 ? Buffer.concat(frames) : undefined;
  }
}
