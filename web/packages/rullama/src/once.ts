// Work that is done once for an object, and again only where it failed.

/** What `make` gives for `key`, kept in `known` as long as the key is. */
export function once<K extends object, V>(known: WeakMap<K, Promise<V>>, key: K, make: (key: K) => Promise<V>): Promise<V> {
  const before = known.get(key);
  if (before) return before;
  const making = make(key);
  known.set(key, making);
  making.catch(() => known.delete(key));
  return making;
}
