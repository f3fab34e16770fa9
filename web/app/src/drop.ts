// Files that are dropped onto the window: all of it takes them, so that a near miss does not navigate away from the page.

/** Calls `drop` with the first file that is dropped, and `over` while one is held above the window. */
export function acceptDrops(over: (on: boolean) => void, drop: (file: File) => void): void {
  // Text that is dragged into the message field is no file.
  const isFile = (event: DragEvent) => Boolean(event.dataTransfer?.types.includes('Files'));
  window.addEventListener('dragover', (event) => {
    if (!isFile(event)) return;
    event.preventDefault();
    over(true);
  });
  window.addEventListener('dragleave', (event) => {
    if (!event.relatedTarget) over(false);
  });
  window.addEventListener('drop', (event) => {
    if (!isFile(event)) return;
    event.preventDefault();
    over(false);
    const file = event.dataTransfer?.files[0];
    if (file) drop(file);
  });
}

/** Whether a file is a model in GGUF format, by its first bytes. */
export async function isModel(file: File): Promise<boolean> {
  const magic = await file.slice(0, 4).text().catch(() => '');
  return magic === 'GGUF';
}
