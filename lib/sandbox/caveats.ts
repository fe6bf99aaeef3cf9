// What a rolled-back test is given otherwise than in production without being refused, because few need it. A test that
// fails is told: it may be why.
import { shorten } from './origin';

const ASKS =
  /\b(?:now|transaction_timestamp)\s*\(|\b(?:current_(?:date|time|timestamp)|local(?:time|timestamp))\b|'\s*(?:now|today|tomorrow|yesterday)\s*'/i;

/** A test that does the same again and again need not be told again and again. */
const LIMIT = 3;

export class Caveats {
  readonly #sentences = new Map<string, string>();

  /** A statement that asks for the time where only PostgreSQL's own can answer. */
  frozenTime(text: string): void {
    this.#add(text, 'asks for the time where it stands still, and may have got that of the test’s first query');
  }

  notification(text: string): void {
    this.#add(text, 'sends a notification that nobody gets: a commit would deliver it, and none happens');
  }

  cancelled(text: string): void {
    this.#add(
      text,
      'was given up by the app, and cancelled because others waited for it; in production it went on without them waiting',
    );
  }

  get sentences(): readonly string[] {
    return [...this.#sentences.values()];
  }

  #add(text: string, what: string): void {
    if (this.#sentences.size < LIMIT && !this.#sentences.has(text))
      this.#sentences.set(text, `"${shorten(text)}" ${what}.`);
  }
}

/** Whether the words of a statement ask for the time of its transaction. */
export function asksForTime(text: string): boolean {
  return ASKS.test(text);
}
