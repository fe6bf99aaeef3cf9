import type { RewindConfig } from './index';

/** What messages call each validated config: its file, or `rewind()`. */
const places = new WeakMap<RewindConfig, string>();

export function rememberPlace(config: RewindConfig, where: string): void {
  places.set(config, where);
}

export function placeOf(config: RewindConfig): string {
  return places.get(config) ?? 'the config';
}
