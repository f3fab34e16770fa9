// Files that are offered to be saved.

import { h } from './dom.ts';

export function saveFile(name: string, file: Blob): void {
  const address = URL.createObjectURL(file);
  h('a', { href: address, download: name }).click();
  // The browser reads it after the click.
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
