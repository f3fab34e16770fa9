// What the unit tests reach into, as far as it needs no page.

export { Shelf } from '../src/adapters/shelf.ts';
export { completeAddress, nameOf } from '../src/address.ts';
export { CHANGES, FIELDS, optionsOf, readKept } from '../src/sampling.ts';
export { problemOf, WORDS } from '../src/settings-dialog.ts';
export { smoothed, spanOf } from '../src/fine-tune/smooth.ts';
export { remedyBlocked, remedyWithout } from '../src/gpu-help.ts';
export { lighter } from '../src/lighter.ts';
export { OFFERS } from '../src/curated/curated.ts';
export { verdictOf } from '../src/curated/fit.ts';
export { learnRoom, roomOf } from '../src/curated/room.ts';
export { NoteIndex, notesOf } from '../src/notes/search.ts';
export { readModels } from '../src/served.ts';
export { Conversation } from '../src/conversation.ts';
export { DatabaseStore, STEPS } from '../src/chats/database.ts';
export { canContinue, messageOf, newId } from '../src/chats/records.ts';
export { Library } from '../src/chats/library.ts';
export { SafeStore, troubleOf } from '../src/chats/safe-store.ts';
export { MemoryStore } from '../src/chats/store.ts';
export { search } from '../src/chats/search.ts';
export { Tree } from '../src/chats/tree.ts';
export { LIMITS, Refusal } from '../src/chats/checked.ts';
export { readText } from '../src/chats/import.ts';
export { readChats, toJson, toMarkdown, written } from '../src/chats/exchange.ts';
export { dayOf, excerpt, folded, titleFrom, titleOf, wordsOf } from '../src/chats/words.ts';
export { wanted } from '../src/texts/languages.ts';
export { byEnglish, ENGLISH, OTHERS } from '../src/texts/tables.ts';
export { setLanguage, t } from '../src/texts/text.ts';
