// What the types promise, read from their text: it has no counterpart at run time.
import { readFileSync } from 'node:fs';

/** Names of `ModelInfo`'s properties, in order. */
export function declaredInfo() {
  const types = readFileSync(new URL('../src/types.ts', import.meta.url), 'utf8');
  const [, body] = /export interface ModelInfo \{([^}]*)\}/.exec(types);
  return [...body.matchAll(/^ {2}(\w+)\??:/gm)].map(([, name]) => name).sort();
}
