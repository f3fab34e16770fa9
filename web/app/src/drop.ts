// Files that are dropped onto the window: all of it takes them, so that a near miss does not navigate away from the page.

/** Most files of a folder that are looked at. */
const MOST = 200;

/** Calls `drop` with the files that are dropped, those of folders among them, and `over` while one is held above the window. */
export function acceptDrops(over: (on: boolean) => void, drop: (files: File[]) => void): void {
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
    void filesOf(event.dataTransfer).then((files) => files.length > 0 && drop(files));
  });
}

/** What was dropped. It must be asked for at once: the browser forgets it when the event is over. */
async function filesOf(data: DataTransfer | null): Promise<File[]> {
  const files = [...(data?.files ?? [])];
  const folders = [...(data?.items ?? [])].map((item) => item.webkitGetAsEntry?.()).filter((entry) => entry?.isDirectory);
  if (folders.length === 0) return files;
  const inside = await Promise.all(folders.map((folder) => filesIn(folder as FileSystemDirectoryEntry).catch(() => [])));
  const names = new Set(folders.map((folder) => folder?.name));
  return [...files.filter(({ name }) => !names.has(name)), ...inside.flat()];
}

/** The files of a folder, without those of folders in it; each knows the folder, as one that was chosen does. */
async function filesIn(folder: FileSystemDirectoryEntry): Promise<File[]> {
  const reader = folder.createReader();
  const entries: FileSystemEntry[] = [];
  // A browser gives them in parts.
  for (let part = [folder as FileSystemEntry]; part.length > 0 && entries.length < MOST; entries.push(...part)) {
    part = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
  }
  const files = entries.filter(({ isFile }) => isFile).slice(0, MOST) as FileSystemFileEntry[];
  return Promise.all(files.map((entry) => new Promise<File>((resolve, reject) => entry.file((file) => resolve(within(folder.name, file)), reject))));
}

const within = (folder: string, file: File): File => Object.defineProperty(file, 'webkitRelativePath', { value: `${folder}/${file.name}` });

/** Whether a file is a model in GGUF format, by its first bytes. */
export async function isModel(file: File): Promise<boolean> {
  const magic = await file.slice(0, 4).text().catch(() => '');
  return magic === 'GGUF';
}
