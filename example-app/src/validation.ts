// Each function says what is wrong, or undefined. Nothing here knows the database.

export function badEmail(email: unknown): string | undefined {
  if (typeof email !== 'string') return 'email is missing';
  return /^[^@\s]+@[^@\s]+\.[^@\s]+$/.test(email) ? undefined : `"${email}" is not an e-mail address`;
}

export function badOrder(lines: unknown): string | undefined {
  if (!Array.isArray(lines) || lines.length === 0) return 'an order needs at least one line';
  for (const { sku, quantity } of lines as { sku?: unknown; quantity?: unknown }[]) {
    if (typeof sku !== 'string') return 'each line needs a sku';
    if (!Number.isInteger(quantity) || Number(quantity) < 1) return `the quantity of ${sku} has to be 1 or more`;
  }
  return undefined;
}
