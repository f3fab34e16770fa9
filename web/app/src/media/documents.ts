// Texts beside a message: files of text and code, and what PDF files say. The model reads each as a quote under its name.

import type { Message } from 'rullama';
import { fenced } from '../chats/fence.ts';
import { h } from '../dom.ts';
import { MediaText } from '../texts/en/media.ts';
import { t } from '../texts/text.ts';
import type { MediaRecord } from './records.ts';

export interface DocumentRecord {
  type: 'text';
  name: string;
  text: string;
}

/** What stands beside a message's text. */
export type Attachment = MediaRecord | DocumentRecord;

/** A message before it is sent, its documents apart. */
export type Question = Message & { documents?: DocumentRecord[] };

const isDocument = (attachment: Attachment): attachment is DocumentRecord => attachment.type === 'text';

/** A person's message. */
export function questionOf(content: string, attachments: Attachment[]): Question {
  const documents = attachments.filter(isDocument);
  const media = attachments.filter((one) => !isDocument(one)) as MediaRecord[];
  return { role: 'user', content, ...(media.length > 0 && { media }), ...(documents.length > 0 && { documents }) };
}

/** Endings that name their language; of the others the fence says nothing. */
const LANGUAGE = /\.(bash|c|cc|clj|cpp|cs|css|csv|cu|dart|diff|ex|go|graphql|h|hpp|hs|html|ini|java|jl|js|json|jsx|kt|less|lua|md|mjs|ml|nix|patch|php|pl|proto|ps1|py|r|rb|rs|scala|scss|sh|sql|svelte|swift|tex|toml|ts|tsx|vb|vue|wgsl|xml|yaml|yml|zig)$/i;

/** A document as the model reads it. */
export function quoted({ name, text }: DocumentRecord): string {
  const plain = name.replace(/[`\p{Cc}]/gu, ' ');
  return `File \`${plain}\`:\n\n${fenced(text.replace(/\n$/, ''), LANGUAGE.exec(name)?.[1]?.toLowerCase() ?? '')}`;
}

/** A message with its documents in its text. */
export function composed({ documents = [], content, ...rest }: Question): Message {
  return { ...rest, content: [...documents.map(quoted), content].filter((part) => part !== '').join('\n\n') };
}

/** The documents of a message, folded. */
export const documentsView = (documents: DocumentRecord[]): HTMLElement => h('div', { className: 'documents' }, ...documents.map(({ name, text }) =>
  h('details', { className: 'call' }, h('summary', {}, h('b', { dir: 'auto' }, name), ' ', t(MediaText.characters, { n: text.length })), h('pre', { dir: 'auto', tabIndex: 0, 'aria-label': name }, h('code', {}, text)))));
