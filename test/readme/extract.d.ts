export function filesOf(markdown: string, example: string): Record<string, string>;
