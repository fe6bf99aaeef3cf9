// Runs in Node.js and, as text, in the page: see ../script.ts. No imports, no helpers outside the function.

export interface Format {
  readonly count: (value: number) => string;
  readonly ms: (value: number) => string;
  readonly share: (value: number) => string;
  /** `1 test`, `2 tests`. */
  readonly plural: (count: number, word: string) => string;
}

export function createFormat(): Format {
  const count = (value: number): string => value.toLocaleString('en-US');
  return {
    count,
    ms(value) {
      if (Number.isInteger(value) && value < 1_000) return `${value} ms`;
      if (value < 0.01) return '< 0.01 ms';
      if (value < 1) return `${value.toFixed(2)} ms`;
      if (value < 10) return `${value.toFixed(1)} ms`;
      if (value < 999.5) return `${Math.round(value)} ms`;
      if (value < 60_000) return `${(value / 1_000).toFixed(value < 10_000 ? 2 : 1)} s`;
      return `${Math.floor(value / 60_000)} min ${Math.round((value % 60_000) / 1_000)} s`;
    },
    share(value) {
      const percent = value * 100;
      if (percent > 0 && percent < 0.05) return '< 0.1 %';
      return `${percent < 10 ? percent.toFixed(1) : Math.round(percent)} %`;
    },
    plural: (n, word) => `${count(n)} ${word}${n === 1 ? '' : 's'}`,
  };
}
