// Connections that went past us, in words.
import type { UnmanagedConnections } from '../facts';

const MOST_PLACES = 3;

/** What to say of connections that are not managed; nothing, of none. */
export function unmanagedNote(unmanaged: readonly UnmanagedConnections[]): string[] {
  const count = unmanaged.reduce((sum, one) => sum + one.count, 0);
  if (count === 0) return [];
  const kinds = unmanaged.map(
    (one) =>
      `${one.count} by ${one.driver ?? 'an unknown driver'}${one.place ? ` (${one.place})` : ''} to ${one.address}`,
  );
  const shown = kinds.slice(0, MOST_PLACES).join(', ');
  const more = kinds.length > MOST_PLACES ? `, and others: the JSON report has them all` : '';
  return [`${count === 1 ? '1 connection was' : `${count} connections were`} not managed: ${shown}${more}`];
}
