// Conversations in files. `FORMAT` is the page's own, described in docs/chats.md; ChatGPT's and Open WebUI's exports are read.

export { toJson, toMarkdown, written } from './export.ts';
export { readChats } from './import.ts';
