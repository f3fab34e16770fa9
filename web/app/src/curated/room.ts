// How much this browser's GPU has held, and what was too much for it: what no adapter says.

const STORE = 'rullama.gpu-room';

/** Bytes of weights. */
export interface Room {
  /** The most that were loaded. */
  held?: number;
  /** The fewest that there was no room for. */
  refused?: number;
}

export function roomOf(): Room {
  try {
    const { held, refused } = (JSON.parse(localStorage.getItem(STORE) ?? '{}') ?? {}) as Record<string, unknown>;
    return { ...(typeof held === 'number' && { held }), ...(typeof refused === 'number' && { refused }) };
  } catch {
    return {};
  }
}

/** Remembers a load of so many bytes on the GPU. The newer of two that contradict each other holds: cards are changed, and shared. */
export function learnRoom(bytes: number, fitted: boolean): void {
  if (!(bytes > 0)) return;
  const { held = 0, refused = Infinity } = roomOf();
  const room = fitted ? { held: Math.max(held, bytes), refused: refused > bytes ? refused : undefined } : { held: held < bytes ? held : undefined, refused: Math.min(refused, bytes) };
  try {
    localStorage.setItem(STORE, JSON.stringify({ ...(room.held && { held: room.held }), ...(Number.isFinite(room.refused) && { refused: room.refused }) }));
  } catch {
    // Without a place to keep it, the next visit estimates again.
  }
}
