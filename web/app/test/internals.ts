// What the unit tests reach into, as far as it needs no page.

export { completeAddress, nameOf } from '../src/address.ts';
export { CHANGES, FIELDS, optionsOf, problemOf, readKept } from '../src/sampling.ts';
export { readModels } from '../src/served.ts';
export { Conversation } from '../src/conversation.ts';
