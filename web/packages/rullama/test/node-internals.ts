// What the unit tests reach into that no browser has.

export { NodeFile } from '../src/node-file.ts';
