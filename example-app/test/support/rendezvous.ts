/** `await meet()` goes on when that many have arrived, and at once for whoever comes later. No clock is involved. */
export function rendezvous(parties: number): () => Promise<void> {
  let missing = parties;
  let open = (): void => {};
  const opened = new Promise<void>((resolve) => (open = resolve));
  return () => {
    if (--missing <= 0) open();
    return opened;
  };
}
