// The page's own files; docs/chats.md describes them.

import type { Finish, ToolCall } from 'rullama';
import { CHANGES, readKept } from '../sampling.ts';
import { Checked, LIMITS, Refusal } from './checked.ts';
import { VERSION } from './export.ts';
import type { DocumentRecord } from '../media/documents.ts';
import { KINDS, recordOf, type MediaRecord } from '../media/records.ts';
import type { Foreign, Node } from './import.ts';
import { newId, type MessageRecord, type Preset, type Stats, type Values } from './records.ts';
import { titleOf } from './words.ts';
import { CommonText } from '../texts/en/common.ts';
import { FilesText } from '../texts/en/files.ts';
import { t } from '../texts/text.ts';

const ROLES = ['user', 'model', 'tool'] as const;
const STATES = ['done', 'cut'] as const;
const FINISHES: readonly Finish[] = ['stop', 'length', 'cancelled', 'stop-string', 'tool-call'];
const STATS: readonly (keyof Stats)[] = ['tokens', 'promptTokens', 'prefillS', 'decodeS', 'firstTokenS', 'decodeTokS'];
const CALLS = 100;
const MEDIA = 100;
/** What the data URL of a medium looks like. */
const DATA = /^data:(?:image|audio|video)\/[\w.+-]{1,60}(?:;[\w.+=-]{1,60})?;base64,/;

export function readOwn(root: Checked): Foreign[] {
  const version = root.at('version').number();
  if (version !== VERSION) throw new Refusal(t(FilesText.itIsOfVersion, { version, known: VERSION }));
  return root.at('chats').list(LIMITS.chats, t(FilesText.conversations)).map(readChat);
}

export function readPresets(root: Checked): Preset[] {
  if (root.at('presets').missing) return [];
  return root.at('presets').list(1000, t(FilesText.presets)).map((preset) => {
    const name = titleOf(preset.at('name').text(LIMITS.name));
    return { id: newId(), name: name || t(CommonText.preset), values: valuesOf(preset.at('values')) };
  });
}

function readChat(chat: Checked): Foreign {
  const nodes = chat.at('messages').list(LIMITS.messages, t(FilesText.messages)).map(readMessage);
  checkTree(nodes, chat.at('messages').place);
  const leaf = chat.at('leaf').optionalText(LIMITS.name) ?? null;
  const tools = chat.at('tools').missing ? [] : chat.at('tools').list(100, t(FilesText.tools)).map((tool) => tool.text(LIMITS.name));
  const origin = chat.at('origin').optionalText(LIMITS.name);
  return {
    origin: chat.at('id').text(LIMITS.name),
    chat: {
      title: chat.at('title').text(),
      named: chat.at('named').flag(),
      pinned: chat.at('pinned').flag(),
      created: dateOf(chat.at('created')),
      changed: dateOf(chat.at('changed')),
      settings: chat.at('settings').missing ? {} : valuesOf(chat.at('settings')),
      tools,
      ...(origin && { origin }),
    },
    nodes,
    current: leaf,
  };
}

function readMessage(message: Checked): Node {
  const optional = <T>(name: string, read: (field: Checked) => T) => {
    const field = message.at(name);
    return field.missing ? {} : { [name]: read(field) };
  };
  const text = (field: Checked) => field.text();
  const node = {
    id: message.at('id').text(LIMITS.name),
    parent: message.at('parent').optionalText(LIMITS.name) ?? null,
    role: message.at('role').oneOf(ROLES),
    content: message.at('content').text(),
    created: dateOf(message.at('created')),
    state: message.at('state').missing ? ('done' as const) : message.at('state').oneOf(STATES),
    ...optional('media', (field) => field.list(MEDIA, t(FilesText.picturesAndSounds)).map(readMedium)),
    ...optional('documents', (field) => field.list(MEDIA, t(FilesText.documents)).map(readDocument)),
    ...optional('thinking', text),
    ...optional('name', text),
    ...optional('model', (field) => field.text(LIMITS.name)),
    ...optional('toolCalls', (field) => field.list(CALLS, t(FilesText.calls)).map(readCall)),
    ...optional('unreadable', (field) => field.list(CALLS, t(FilesText.texts)).map(text)),
    ...optional('ended', dateOf),
    ...optional('thinkingMs', (field) => field.number()),
    ...optional('finish', (field) => field.oneOf(FINISHES)),
    ...optional('edited', (field) => field.flag()),
    ...optional('settings', settingsOf),
    ...optional('stats', statsOf),
  };
  return node as Node;
}

/** A picture or a sound; its data is checked when a model is to perceive it. */
function readMedium(medium: Checked): MediaRecord {
  const type = medium.at('type').oneOf(KINDS);
  const name = medium.at('name').text(LIMITS.name);
  const words = medium.at('words').optionalText(LIMITS.name);
  const data = medium.at('data').text(LIMITS.file);
  const start = DATA.exec(data)?.[0];
  if (!start?.startsWith(`data:${type}/`)) throw medium.at('data').refusal(t(FilesText.theDataURLOf, { type }));
  let bytes: string;
  try {
    bytes = atob(data.slice(start.length));
  } catch {
    throw medium.at('data').refusal('base64');
  }
  const blob = new Blob([Uint8Array.from(bytes, (character) => character.charCodeAt(0))], { type: start.slice('data:'.length, -';base64,'.length) });
  return { ...recordOf(type, blob, name), ...(words && { words }) };
}

const readDocument = (document: Checked): DocumentRecord => ({ type: 'text', name: document.at('name').text(LIMITS.name), text: document.at('text').text() });

function readCall(call: Checked): ToolCall {
  return { name: call.at('name').text(LIMITS.name), arguments: call.at('arguments').object() };
}

/** The settings that a message was asked with, which are only shown: numbers, texts, switches, and what it was held to. */
function settingsOf(settings: Checked): NonNullable<MessageRecord['settings']> {
  const plain = (value: unknown) => typeof value === 'number' || typeof value === 'boolean' || typeof value === 'string' || (Array.isArray(value) && value.every((text) => typeof text === 'string'));
  const kept = (name: string, value: unknown) => plain(value) || (name === 'format' && typeof value === 'object');
  return Object.fromEntries(settings.entries(100, t(FilesText.settings)).filter(([name, { value }]) => kept(name, value)).map(([name, { value }]) => [name, value]));
}

function statsOf(stats: Checked): Stats {
  const { reused } = stats.object();
  return { ...Object.fromEntries(STATS.map((name) => [name, stats.at(name).number()])), ...(typeof reused === 'number' && { reused }) } as unknown as Stats;
}

/** Settings as the form has them; what is not one, or out of range, is left out as it is from those of an earlier visit. */
function valuesOf(settings: Checked): Values {
  return readKept(JSON.stringify({ ...settings.object(), ...CHANGES }), {});
}

function dateOf(time: Checked): number {
  const value = time.number();
  if (value < 0 || value > 8.64e15) throw time.refusal(t(FilesText.aTimeInMilliseconds));
  return value;
}

/** Every message once, every parent there, and no way in a circle. */
export function checkTree(nodes: Node[], place: string): void {
  const parents = new Map<string, string | null>();
  for (const { id, parent } of nodes) {
    if (parents.has(id)) throw new Refusal(t(FilesText.placeHasTwoMessages, { place, id: JSON.stringify(id.slice(0, 80)) }));
    parents.set(id, parent);
  }
  const rooted = new Set<string>();
  for (const { id } of nodes) {
    const way = new Set<string>();
    for (let at: string | null | undefined = id; at !== null && at !== undefined && !rooted.has(at); at = parents.get(at)) {
      if (way.has(at)) throw new Refusal(t(FilesText.placeGoesInACircle, { place, at: JSON.stringify(at.slice(0, 80)) }));
      if (!parents.has(at)) throw new Refusal(t(FilesText.placeHasNoMessage, { place, at: JSON.stringify(at.slice(0, 80)) }));
      way.add(at);
    }
    for (const one of way) rooted.add(one);
  }
}
