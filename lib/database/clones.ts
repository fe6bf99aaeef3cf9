import { randomBytes } from 'node:crypto';
import { type OwnConnection, quoteIdent, quoteLiteral } from '../sql';
import { cloneDatabase, connectForMaintenance, relatedName } from './clone';
import { takeLease } from './lease';
import { CLONE_MARK, dropDatabase, sweepClones } from './orphans';

export interface ClonesOptions {
  /** Opens a connection to a database of that name on the server of `base`. */
  readonly connect: (database: string) => Promise<OwnConnection>;
  readonly base: string;
  /** Who needs clones, for messages: `"adds a column @schema"`. */
  readonly needed: string;
}

/** One clone, handed out. */
export interface Clone {
  readonly database: string;
  /** It was there already: nobody has waited for it. */
  readonly ready: boolean;
}

/** How many clones a stock keeps ready. */
const AHEAD = 2;

/**
 * Databases that are clones of others, made ahead of the need, in the background. All is done over one connection, one
 * step at a time: clones that somebody waits for first, then those ahead of the need, then what is to be dropped.
 *
 * What a killed run has left is found by the next one: the names tell whose all of them are, and its lease went with its
 * process.
 */
export class Clones {
  readonly #holder = randomBytes(4).toString('hex');
  readonly #stocks = new Set<Stock>();
  readonly #garbage: string[] = [];
  readonly #databases = new Set<string>();
  #made = 0;
  #busy = false;
  #idle: Promise<void> = Promise.resolve();

  private constructor(
    private readonly maintenance: OwnConnection,
    private readonly options: ClonesOptions,
  ) {}

  static async open(options: ClonesOptions): Promise<Clones> {
    const maintenance = await connectForMaintenance(options.connect, options.base, wordsFor(options));
    try {
      await sweepClones(maintenance, options.connect);
      const clones = new Clones(maintenance, options);
      await takeLease(maintenance, clones.#holder);
      return clones;
    } catch (error) {
      await maintenance.end();
      throw error;
    }
  }

  /** A clone of `base` as it is now, for others to be cloned from. Nobody may be connected to `base`. */
  async template(): Promise<string> {
    await this.#idle;
    const name = await this.#clone(this.options.base);
    await this.maintenance.query(
      `comment on database ${quoteIdent(name)} is ${quoteLiteral(`${CLONE_MARK}${this.options.base}, lease ${this.#holder}`)}`,
    );
    return name;
  }

  /** Clones of `template`, made ahead of the need, `expected` of them at most. Nobody may be connected to it any more. */
  stock(template: string, expected = Infinity): Stock {
    const stock = new Stock(template, expected, () => this.#work());
    this.#stocks.add(stock);
    this.#work();
    return stock;
  }

  /** No more of them are made. Resolves when nobody uses their template any more. */
  async closeStock(stock: Stock): Promise<void> {
    this.#stocks.delete(stock);
    this.drop(...stock.close());
    await this.#idle;
  }

  /** In the background, when there is nothing better to do. */
  drop(...databases: readonly string[]): void {
    this.#garbage.push(...databases);
    this.#work();
  }

  /** Drops all of them. */
  async close(): Promise<void> {
    for (const stock of this.#stocks) await this.closeStock(stock);
    this.#garbage.splice(0);
    this.drop(...this.#databases);
    await this.#idle;
    await this.maintenance.end();
  }

  #work(): void {
    if (this.#busy) return;
    this.#busy = true;
    this.#idle = this.#untilDone();
  }

  async #untilDone(): Promise<void> {
    for (;;) {
      const stocks = [...this.#stocks];
      const stock = stocks.find((s) => s.awaited) ?? stocks.find((s) => s.wanting);
      if (stock) {
        await stock.add(() => this.#clone(stock.template));
        continue;
      }
      const database = this.#garbage.shift();
      if (database === undefined) break;
      // What can't be dropped is tried again at the end, and left to the next run's sweep.
      await dropDatabase(this.maintenance, this.options.connect, database).then(
        () => this.#databases.delete(database),
        () => {},
      );
    }
    this.#busy = false;
  }

  async #clone(original: string): Promise<string> {
    const name = relatedName(this.options.base, `${this.#holder}_${this.#made++}`);
    await cloneDatabase(this.maintenance, original, name, wordsFor(this.options));
    this.#databases.add(name);
    return name;
  }
}

/** Clones of one template. */
export class Stock {
  #ready: string[] = [];
  #waiting: { readonly resolve: (database: string) => void; readonly reject: (error: unknown) => void }[] = [];
  #failed = false;

  constructor(
    readonly template: string,
    private expected: number,
    private readonly work: () => void,
  ) {}

  async take(): Promise<Clone> {
    this.expected--;
    const database = this.#ready.shift();
    const clone =
      database === undefined
        ? new Promise<string>((resolve, reject) => this.#waiting.push({ resolve, reject }))
        : database;
    this.work();
    return { database: await clone, ready: database !== undefined };
  }

  get awaited(): boolean {
    return this.#waiting.length > 0;
  }

  get wanting(): boolean {
    return !this.#failed && this.#ready.length < Math.min(AHEAD, this.expected);
  }

  async add(make: () => Promise<string>): Promise<void> {
    try {
      const database = await make();
      const first = this.#waiting.shift();
      if (first) first.resolve(database);
      else this.#ready.push(database);
      this.#failed = false;
    } catch (error) {
      // Told to whoever asks next, who tries again.
      this.#failed = true;
      this.#waiting.shift()?.reject(error);
    }
  }

  /** What it had ready. */
  close(): readonly string[] {
    for (const { reject } of this.#waiting.splice(0)) reject(new Error('its clones are no longer wanted'));
    return this.#ready.splice(0);
  }
}

function wordsFor({ needed }: ClonesOptions): Parameters<typeof cloneDatabase>[3] {
  return {
    what: `The database of its own that ${needed} needs`,
    ifBusy: 'Nobody may be connected to it at that moment but the pools that are managed.',
    otherwise: 'Or take the tag @schema off.',
  };
}
