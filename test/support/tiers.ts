// `npm test` runs what has to be known before a commit. What only repeats it (on other versions, as other roles, in other
// ways) or takes long waits for `npm run test:full`: such titles carry the word @full. test/LEDGER.md says which, and why.

/** For a title: marks it for `npm run test:full` alone, where the condition holds. */
export const full = (condition = true): string => (condition ? ' @full' : '');

/** How many rounds a random test makes, and its mark: few in `npm test`, more in full, or what REWIND_TEST_ROUNDS says. */
export function rounds(few: number, more: number): (readonly [count: number, mark: string])[] {
  const asked = process.env.REWIND_TEST_ROUNDS;
  return asked
    ? [[Number(asked), '']]
    : [
        [few, ''],
        [more, full()],
      ];
}
