// The page's address: what stands behind its `#`.

const named = (what: string): string | undefined => new URLSearchParams(location.hash.slice(1)).get(what) ?? undefined;

/** The conversation in the page's address. */
export const route = (): string | undefined => named('chat');

export const addressOf = (id: string | undefined): string => (id ? `#chat=${id}` : `${location.pathname}${location.search}`);

/** Takes a conversation that the address itself holds out of it: what it holds, or nothing. */
export function takeShared(): string | undefined {
  const data = named('shared');
  if (data !== undefined) history.replaceState(null, '', addressOf(undefined));
  return data;
}
