// Watches whether conversations are kept. What says that they are not is loaded when they are not.

import type { Library } from './chats/library.ts';

export function watchTrouble(library: Library, exportAll: () => void): void {
  let view: Promise<unknown> | undefined;
  const look = () => {
    if (library.trouble === undefined) return;
    view ??= import('./trouble-view.ts').then(({ TroubleView }) => new TroubleView(library, exportAll));
    view.catch(() => (view = undefined));
  };
  library.listen((news) => news.of === 'trouble' && look());
  look();
}
