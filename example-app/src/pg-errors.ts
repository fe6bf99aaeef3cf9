// PostgreSQL's error codes, by the names its manual gives them (appendix A).

const codeOf = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error ? String(error.code) : undefined;

export const isUniqueViolation = (error: unknown): boolean => codeOf(error) === '23505';
export const isForeignKeyViolation = (error: unknown): boolean => codeOf(error) === '23503';
export const isCheckViolation = (error: unknown): boolean => codeOf(error) === '23514';

/** The transaction lost against another one, and may well succeed when it is tried again. */
export const isWorthRetrying = (error: unknown): boolean => ['40001', '40P01'].includes(codeOf(error) ?? '');
