// Names that the page and its workers have in common.

/** As in the engine, which reads and writes there, too. */
export const FOLDER = 'rullama-models';
/** Where tabs tell each other how far they are. */
export const CHANNEL = 'rullama-downloads';

/** The lock of a stored file. */
export const lockName = (name: string): string => `${FOLDER}/${name}`;

/** A digest as hexadecimal digits in lower case, or nothing. */
export const digestOf = (value: unknown): string | undefined =>
  typeof value === 'string' && /^[0-9a-f]{64}$/i.test(value) ? value.toLowerCase() : undefined;
