// Open WebUI's export: a list of rows with a `chat`, whose `history` holds messages by name, each with its parent.

import { Checked, LIMITS, timeOf } from './checked.ts';
import { checkTree } from './import-own.ts';
import { count, type Foreign, type LeftOut, type Node } from './import.ts';
import { FilesText } from '../texts/en/files.ts';
import { t } from '../texts/text.ts';

const SECOND = 1000;

export function readOpenWebUi(row: Checked, leftOut: LeftOut): Foreign {
  const chat = row.at('chat').missing ? row : row.at('chat');
  const history = chat.at('history');
  const nodes = history.missing || history.at('messages').missing ? lined(chat.at('messages'), leftOut) : treeOf(history.at('messages'), leftOut);
  const system = systemOf(chat);
  const title = row.at('title').optionalText() ?? chat.at('title').optionalText();
  const created = timeOf(row.at('created_at'), SECOND) ?? timeOf(chat.at('timestamp'), 1);
  const changed = timeOf(row.at('updated_at'), SECOND);
  return {
    origin: `open-webui:${row.at('id').optionalText(LIMITS.name) ?? chat.at('id').optionalText(LIMITS.name) ?? `${title ?? ''} ${created ?? ''}`}`,
    chat: {
      ...(title && { title }),
      ...(created !== undefined && { created }),
      ...(changed !== undefined && { changed }),
      pinned: row.at('pinned').value === true,
      settings: system ? { system } : {},
    },
    nodes,
    current: history.missing ? (nodes.at(-1)?.id ?? null) : (history.at('currentId').optionalText(LIMITS.name) ?? null),
  };
}

function systemOf(chat: Checked): string | undefined {
  const params = chat.at('params');
  const own = chat.at('system').optionalText();
  return own || params.missing ? own : params.at('system').optionalText();
}

/** Messages that stand under their names. */
function treeOf(messages: Checked, leftOut: LeftOut): Node[] {
  const nodes = messages.entries(LIMITS.messages, t(FilesText.messages)).map(([id, message]) => nodeOf(id, message.at('parentId').optionalText(LIMITS.name) ?? null, message, leftOut));
  checkTree(nodes, messages.place);
  return ordered(nodes);
}

/** Messages of older exports, which stand in a row. */
function lined(messages: Checked, leftOut: LeftOut): Node[] {
  const all = messages.list(LIMITS.messages, t(FilesText.messages));
  return ordered(all.map((message, i) => nodeOf(`${i}`, i === 0 ? null : `${i - 1}`, message, leftOut)));
}

function nodeOf(id: string, parent: string | null, message: Checked, leftOut: LeftOut): Node {
  const role = message.at('role').oneOf(['user', 'assistant', 'system', 'tool'] as const);
  const { text, thought } = apart(contentOf(message.at('content'), leftOut));
  const files = message.at('files');
  if (!files.missing) for (const _ of files.list(1000, t(FilesText.files))) count(leftOut, t(FilesText.attachedFiles));
  const created = timeOf(message.at('timestamp'), SECOND) ?? 0;
  const model = message.at('modelName').optionalText(LIMITS.name) ?? message.at('model').optionalText(LIMITS.name);
  const base = { id, parent, created, content: text, state: 'done' as const };
  if (role === 'assistant') return { ...base, role: 'model', ...(thought && { thinking: thought }), ...(model && { model }) };
  return role === 'tool' ? { ...base, role, name: message.at('name').optionalText(LIMITS.name) ?? 'tool' } : { ...base, role: 'user' };
}

function contentOf(content: Checked, leftOut: LeftOut): string {
  if (content.missing) return '';
  if (!Array.isArray(content.value)) return content.text();
  return content.list(10_000, t(FilesText.parts)).map((part) => {
    const kind = part.at('type').optionalText(LIMITS.name);
    if (kind === 'text') return part.at('text').text();
    count(leftOut, kind?.startsWith('image') ? t(FilesText.pictures) : t(FilesText.otherParts));
    return '';
  }).join('');
}

const OPEN = '<details type="reasoning"';
const CLOSE = '</details>';

/** Thoughts stand in the text, as a folded block with a title and quoted lines. */
function apart(content: string): { text: string; thought: string } {
  const texts: string[] = [];
  const thoughts: string[] = [];
  let at = 0;
  for (;;) {
    const from = content.indexOf(OPEN, at);
    const to = from < 0 ? -1 : content.indexOf(CLOSE, from);
    if (to < 0) break;
    texts.push(content.slice(at, from));
    const inner = content.slice(content.indexOf('>', from) + 1, to);
    const title = inner.indexOf('</summary>');
    thoughts.push(unescaped(inner.slice(title < 0 ? 0 : title + '</summary>'.length).split('\n').map((line) => line.replace(/^> ?/, '')).join('\n').trim()));
    at = to + CLOSE.length;
  }
  texts.push(content.slice(at));
  return { text: texts.join('').trim(), thought: thoughts.filter(Boolean).join('\n\n') };
}

const ENTITIES: Record<string, string> = { '&lt;': '<', '&gt;': '>', '&quot;': '"', '&#x27;': "'", '&#39;': "'", '&amp;': '&' };
const unescaped = (text: string) => text.replace(/&(?:lt|gt|quot|#x27|#39|amp);/g, (entity) => ENTITIES[entity] ?? entity);

/** Parents before what follows them, with times that grow along each way. */
function ordered(nodes: Node[]): Node[] {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const placed = new Map<string, Node>();
  for (const start of nodes) {
    const way: Node[] = [];
    for (let node: Node | undefined = start; node && !placed.has(node.id); node = byId.get(node.parent ?? '')) way.push(node);
    for (const node of way.reverse()) placed.set(node.id, { ...node, created: Math.max(node.created, (placed.get(node.parent ?? '')?.created ?? 0) + 1) });
  }
  return [...placed.values()];
}
