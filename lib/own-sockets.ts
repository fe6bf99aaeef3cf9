// Connections of our own that are being opened just now. Hooks that look at what the process opens leave them alone.
let depth = 0;

/** Drivers open their socket before `connect()` returns. */
export function openingOwn<Result>(open: () => Result): Result {
  depth++;
  try {
    return open();
  } finally {
    depth--;
  }
}

export function opensOwn(): boolean {
  return depth > 0;
}
