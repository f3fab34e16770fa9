// A folder of this machine as the page may read it: a directory handle, or what an input for folders gave.

export interface Folder {
  name: string;
  /** Names of what is in it. */
  folders(): Promise<string[]>;
  files(): Promise<string[]>;
  /** One of them; nothing where it is not there. */
  folder(name: string): Promise<Folder | undefined>;
  file(name: string): Promise<File | undefined>;
}

export function folderOf(handle: FileSystemDirectoryHandle): Folder {
  const names = async (kind: FileSystemHandleKind) => {
    const found: string[] = [];
    for await (const [name, entry] of handle.entries()) if (entry.kind === kind) found.push(name);
    return found;
  };
  return {
    name: handle.name,
    folders: () => names('directory'),
    files: () => names('file'),
    folder: (name) => handle.getDirectoryHandle(name).then(folderOf, absent),
    file: (name) => handle.getFileHandle(name).then((file) => file.getFile()).catch(absent),
  };
}

/** What is missing, or is of the other kind, is not there; that a folder may not be read is another matter. */
function absent(thrown: unknown): undefined {
  const { name } = thrown as DOMException;
  if (name === 'NotFoundError' || name === 'TypeMismatchError' || name === 'TypeError') return undefined;
  throw thrown;
}

type Entries = Map<string, File | Entries>;

/** The files of `<input type=file webkitdirectory>`, whose paths begin with the folder's own name. */
export function folderOfFiles(files: Iterable<File>): Folder | undefined {
  const root: Entries = new Map();
  for (const file of files) {
    const path = file.webkitRelativePath.split('/');
    const name = path.pop() ?? '';
    let into = root;
    for (const part of path) {
      const next = into.get(part);
      if (next instanceof Map) into = next;
      else into.set(part, (into = new Map()));
    }
    into.set(name, file);
  }
  const [first] = root;
  return first && first[1] instanceof Map ? listed(first[0], first[1]) : undefined;
}

function listed(name: string, entries: Entries): Folder {
  const names = (wanted: boolean) => Promise.resolve([...entries].filter(([, entry]) => entry instanceof Map === wanted).map(([name]) => name));
  return {
    name,
    folders: () => names(true),
    files: () => names(false),
    folder: async (name) => {
      const entry = entries.get(name);
      return entry instanceof Map ? listed(name, entry) : undefined;
    },
    file: async (name) => {
      const entry = entries.get(name);
      return entry instanceof Map ? undefined : entry;
    },
  };
}
