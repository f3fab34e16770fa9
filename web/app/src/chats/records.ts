// What the page keeps: conversations, their messages, presets and drafts.

import type { Finish, GenerateOptions, Message, ToolCall } from 'rullama';
import { composed, type DocumentRecord } from '../media/documents.ts';
import type { MediaRecord } from '../media/records.ts';

/** Settings as a form holds them: texts by name, only those that a person chose. */
export type Values = Record<string, string>;

/** A conversation. Its messages are a tree, of which the way to `leaf` is shown. */
export interface ChatRecord {
  id: string;
  title: string;
  /** Whether a person gave the title; until then it is made from the first turn. */
  named: boolean;
  pinned: boolean;
  /** Milliseconds since 1970, as are all times here. */
  created: number;
  /** Time of the latest message. */
  changed: number;
  /** The last message of the version that is shown. */
  leaf: string | null;
  settings: Values;
  /** Names of the page's tools that the model may call. */
  tools: string[];
  /** Which of them it may call without asking, by name; pages by `fetch_page:` and the host. */
  allowed?: string[];
  /** Adapters that the model answers with; the page's library of adapters has them by these names. */
  adapters?: { id: string; scale: number }[];
  /** When it was deleted; until it is removed this can be undone. */
  deleted?: number | undefined;
  /** Where an imported one comes from. */
  origin?: string;
}

export type Role = 'user' | 'model' | 'tool';

/** `writing` is an answer in progress; one that nobody writes any more was cut. */
export type State = 'done' | 'writing' | 'cut';

/** Numbers of an answer, as they are shown under it. */
export interface Stats {
  tokens: number;
  promptTokens: number;
  /** Seconds. */
  prefillS: number;
  decodeS: number;
  firstTokenS: number;
  decodeTokS: number;
  /** Tokens of the prompt that were known, and not computed again. */
  reused?: number;
}

/** A message. Messages with one parent are versions of each other. */
export interface MessageRecord {
  id: string;
  chat: string;
  parent: string | null;
  role: Role;
  content: string;
  /** Pictures and sounds beside the text. */
  media?: MediaRecord[];
  /** Texts beside it, which the model reads before it. */
  documents?: DocumentRecord[];
  thinking?: string;
  toolCalls?: ToolCall[];
  /** What stood where a tool call should and cannot be read as one. */
  unreadable?: string[];
  /** Of the tool that answers. */
  name?: string;
  created: number;
  ended?: number;
  /** Milliseconds from the first thought to the first word. */
  thinkingMs?: number;
  state: State;
  finish?: Finish;
  /** Whether a person wrote it in the model's name. */
  edited?: boolean;
  /** The model that answered, and the settings that it was asked with. */
  model?: string;
  settings?: GenerateOptions & { system?: string; thinkingAsked?: boolean };
  stats?: Stats;
}

/** A named set of settings. */
export interface Preset {
  id: string;
  name: string;
  values: Values;
}

/** What is being written; `id` is that of the conversation or of the message that is changed, or empty for the next new conversation. */
export interface Draft {
  id: string;
  text: string;
}

export interface Kinds {
  chats: ChatRecord;
  messages: MessageRecord;
  presets: Preset;
  drafts: Draft;
}

export type Kind = keyof Kinds;
export const KINDS: Kind[] = ['chats', 'messages', 'presets', 'drafts'];

/** A name that no other record has. Pages that are served without https have no `randomUUID`. */
export function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** The message as the model reads it. */
export function messageOf({ role, content, media, documents = [], thinking, toolCalls, name }: MessageRecord): Message {
  return { ...composed({ role, content, documents }), ...(media && media.length > 0 && { media }), ...(thinking && { thinking }), ...(toolCalls && toolCalls.length > 0 && { toolCalls }), ...(name && { name }) };
}

/** Whether an answer ended before its end, and not at a call. */
export function canContinue({ role, state, finish, edited, toolCalls = [], content, thinking }: MessageRecord): boolean {
  const cut = state === 'cut' || finish === 'cancelled' || finish === 'length';
  return role === 'model' && cut && !edited && toolCalls.length === 0 && Boolean(content || thinking);
}
