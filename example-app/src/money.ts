// Money is counted in cents. Nothing here knows the database.

export function formatCents(cents: number): string {
  const digits = String(Math.abs(cents)).padStart(3, '0');
  return `${cents < 0 ? '-' : ''}${digits.slice(0, -2)}.${digits.slice(-2)}`;
}

export function parseCents(text: string): number {
  const match = /^(\d+)(?:\.(\d{2}))?$/.exec(text.trim());
  if (!match) throw new RangeError(`"${text}" is not an amount of money`);
  return Number(match[1]) * 100 + Number(match[2] ?? 0);
}

/** The discount is rounded in the customer's favour. */
export function afterDiscount(cents: number, percent: number): number {
  if (percent < 0 || percent > 100) throw new RangeError(`${percent} % is not a discount`);
  return cents - Math.ceil((cents * percent) / 100);
}
