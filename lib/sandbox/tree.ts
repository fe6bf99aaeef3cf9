// Ways to go through a syntax tree of libpg-query's.
import type { Node } from './parser';

/** Visits every node of a tree. A `SelectStmt` inside a set operation (`larg`, `rarg`) comes without its key. */
export function walk(node: unknown, visit: (type: string, node: Node) => void): void {
  if (typeof node !== 'object' || node === null) return;
  if (Array.isArray(node)) {
    for (const item of node) walk(item, visit);
    return;
  }
  for (const [key, value] of Object.entries(node)) {
    if (typeof value !== 'object' || value === null) continue;
    if (!Array.isArray(value)) visit(key === 'larg' || key === 'rarg' ? 'SelectStmt' : key, value as Node);
    walk(value, visit);
  }
}

export function mentions(node: unknown, wanted: string): boolean {
  let found = false;
  walk(node, (type) => (found ||= type === wanted));
  return found;
}

export function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

export function inner(node: unknown, type: string): Node | undefined {
  return typeof node === 'object' && node !== null ? ((node as Node)[type] as Node | undefined) : undefined;
}
