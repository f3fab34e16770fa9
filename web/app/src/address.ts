// Addresses as people write them.

/** An address with its scheme: what has none is of this machine where it says so, else of the web. */
export function completeAddress(text: string): string {
  const address = text.trim();
  if (/^[a-z][a-z\d+.-]*:\/\//i.test(address)) return address;
  if (/^(localhost|127\.0\.0\.1|\[::1\])(:\d+)?(\/|$)/i.test(address)) return `http://${address}`;
  // A host with a dot and something behind it; all else is left for the package to name.
  return /^[\w-]+(\.[\w-]+)+(:\d+)?\//.test(address) ? `https://${address}` : address;
}

/** What a model at an address is called: the last part of its path. */
export function nameOf(address: string): string {
  const name = (/^https?:/i.test(address) && URL.canParse(address) ? new URL(address).pathname : address).split('/').filter(Boolean).pop() || address;
  try {
    return decodeURIComponent(name);
  } catch {
    return name; // a percent sign that encodes nothing
  }
}
