// The app's part of a message, in its three forms.
import type { Body, PgQuery, Receiver } from './wire';

/** What is sent in the place of the app's text, and the name of ours under which the server keeps it, if it is to. */
export interface Sent {
  readonly text?: string | undefined;
  readonly keptAs?: string | undefined;
}

const always = (): boolean => true;

/**
 * pg's own `Query` writes its own messages: nothing about parameters, types or names is done again here.
 */
export function bodyOfQuery(query: PgQuery, protocol: Body['protocol'], sent: Sent = {}): Body {
  const { keptAs } = sent;
  return {
    receiver: query,
    protocol,
    statementName: protocol === 'extended' ? (keptAs ?? query.name) : undefined,
    text: sent.text ?? query.text,
    write(connection) {
      let early: Error | undefined;
      const handleError = Reflect.get(query, 'handleError');
      const requiresPreparation = Reflect.get(query, 'requiresPreparation');
      // a value that can't be serialised is reported by calling handleError from within submit (query.js, prepare)
      query.handleError = (error: Error) => (early ??= error);
      const { text } = query;
      if (sent.text !== undefined) query.text = sent.text;
      if (protocol === 'extended') query.requiresPreparation = always;
      const { name } = query;
      if (keptAs !== undefined) query.name = keptAs;
      try {
        return query.submit(connection) ?? early;
      } finally {
        // put back, not deleted: V8 turns an object that loses properties into a slow one
        if (text !== undefined) query.text = text;
        query.handleError = handleError;
        query.requiresPreparation = requiresPreparation;
        if (keptAs !== undefined) Object.assign(query, { name });
      }
    },
  };
}

/** One statement of several: its results go to the receiver of all. */
export function bodyOfText(text: string, receiver: Receiver): Body {
  return {
    receiver,
    protocol: 'extended',
    statementName: undefined,
    text,
    write(connection) {
      connection.parse({ text });
      connection.bind({});
      connection.describe({ type: 'P', name: '' });
      connection.execute({});
    },
  };
}

/** A cursor's query: its values are ready for the wire already, and its messages are kept as they come. */
export function bodyOfPortal(
  text: string,
  values: readonly unknown[] | undefined,
  binary: boolean,
  receiver: Receiver,
): Body {
  return {
    receiver,
    protocol: 'extended',
    statementName: undefined,
    text,
    write(connection) {
      connection.parse({ text });
      connection.bind({ values: values ?? [], binary });
      connection.describe({ type: 'P', name: '' });
      connection.execute({});
    },
  };
}
