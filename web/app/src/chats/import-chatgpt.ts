// ChatGPT's export: conversations.json is a list of conversations, whose `mapping` is a tree of nodes with or without a message.

import { Checked, LIMITS, Refusal, timeOf } from './checked.ts';
import { count, type Foreign, type LeftOut, type Node } from './import.ts';
import { FilesText } from '../texts/en/files.ts';
import { t } from '../texts/text.ts';

const SECOND = 1000;

/** A node of the mapping; without a message it only links others. */
interface Link {
  parent: string | null;
  node: Omit<Node, 'id' | 'parent' | 'created'> | undefined;
  /** A thought that belongs to the next answer. */
  thought: string;
  time: number | undefined;
}

export function readChatGpt(chat: Checked, leftOut: LeftOut): Foreign {
  const links = new Map<string, Link>();
  let system = '';
  for (const [id, node] of chat.at('mapping').entries(LIMITS.messages, t(FilesText.messages))) {
    if (id.length > LIMITS.name) throw new Refusal(t(FilesText.placeHasAName, { place: node.place, id: id.length }));
    const link = readNode(node, leftOut);
    links.set(id, link);
    const author = node.at('message').missing ? undefined : node.at('message').at('author').at('role').value;
    if (author === 'system' && link.thought !== '') [system, link.thought] = [system || link.thought, ''];
  }
  const nodes = linked(links, chat.at('mapping').place);
  const current = chat.at('current_node').optionalText(LIMITS.name) ?? null;
  const title = chat.at('title').optionalText();
  const times = { created: timeOf(chat.at('create_time'), SECOND), changed: timeOf(chat.at('update_time'), SECOND) };
  return {
    origin: `chatgpt:${chat.at('conversation_id').optionalText(LIMITS.name) ?? chat.at('id').optionalText(LIMITS.name) ?? `${title ?? ''} ${times.created ?? ''}`}`,
    chat: {
      ...(title && { title }),
      ...(times.created !== undefined && { created: times.created }),
      ...(times.changed !== undefined && { changed: times.changed }),
      pinned: chat.at('is_starred').value === true,
      settings: system === '' ? {} : { system },
    },
    nodes,
    current: nearest(current, links),
  };
}

function readNode(node: Checked, leftOut: LeftOut): Link {
  const link: Link = { parent: node.at('parent').optionalText(LIMITS.name) ?? null, node: undefined, thought: '', time: undefined };
  const message = node.at('message');
  if (message.missing) return link;
  link.time = timeOf(message.at('create_time'), SECOND);
  const role = message.at('author').at('role').text(LIMITS.name);
  const { text, thought } = readContent(message.at('content'), leftOut);
  if (role === 'system') return { ...link, thought: text };
  const hidden = !message.at('metadata').missing && message.at('metadata').at('is_visually_hidden_from_conversation').value === true;
  if (hidden || (text === '' && thought === '')) return link;
  if (role === 'assistant' && text === '') return { ...link, thought };
  const model = message.at('metadata').missing ? undefined : message.at('metadata').at('model_slug').optionalText(LIMITS.name);
  const done = { content: text, state: 'done' as const };
  if (role === 'user') return { ...link, node: { ...done, role: 'user' } };
  if (role === 'assistant') return { ...link, node: { ...done, role: 'model', ...(model && { model }) } };
  if (role === 'tool') return { ...link, node: { ...done, role: 'tool', name: message.at('author').at('name').optionalText(LIMITS.name) ?? 'tool' } };
  throw message.at('author').at('role').refusal(t(FilesText.oneOfSystemUser));
}

/** The words of a message; pictures, sounds and files are counted. */
function readContent(content: Checked, leftOut: LeftOut): { text: string; thought: string } {
  if (content.missing) return { text: '', thought: '' };
  const kind = content.at('content_type').optionalText(LIMITS.name) ?? 'text';
  if (kind === 'thoughts') {
    const thoughts = content.at('thoughts').missing ? [] : content.at('thoughts').list(1000, t(FilesText.thoughts4));
    return { text: '', thought: thoughts.map((one) => [one.at('summary').optionalText(), one.at('content').optionalText()].filter(Boolean).join('\n')).join('\n\n') };
  }
  if (kind === 'reasoning_recap' || kind === 'user_editable_context') return { text: '', thought: '' };
  if (!content.at('parts').missing) {
    const parts = content.at('parts').list(10_000, t(FilesText.parts)).map((part) => partOf(part, leftOut));
    return { text: parts.filter((text) => text !== '').join('\n\n'), thought: '' };
  }
  const text = content.at('text').optionalText() ?? content.at('result').optionalText() ?? '';
  if (text === '') count(leftOut, t(FilesText.partsOfTheKind, { kind: JSON.stringify(kind) }));
  return { text: kind === 'code' && text !== '' ? `\`\`\`\n${text}\n\`\`\`` : text, thought: '' };
}

function partOf(part: Checked, leftOut: LeftOut): string {
  if (typeof part.value === 'string') return part.text();
  if (part.missing) return '';
  const kind = part.at('content_type').optionalText(LIMITS.name) ?? '';
  if (kind === 'audio_transcription') return part.at('text').optionalText() ?? '';
  count(leftOut, /image/.test(kind) ? t(FilesText.pictures) : /audio|video/.test(kind) ? t(FilesText.sounds) : t(FilesText.otherParts));
  return '';
}

/** Messages with the messages that they follow, over the nodes without one. */
function linked(links: Map<string, Link>, place: string): Node[] {
  const nodes: Node[] = [];
  const made = new Map<string, number>();
  for (const start of links.keys()) {
    // Those above it first, so that times grow along each way.
    const way: string[] = [];
    const seen = new Set<string>();
    for (let at: string | null = start; at !== null && links.has(at) && !made.has(at); at = links.get(at)?.parent ?? null) {
      if (seen.has(at)) throw new Refusal(t(FilesText.placeGoesInA, { place, at: JSON.stringify(at.slice(0, 80)) }));
      seen.add(at);
      way.push(at);
    }
    for (const id of way.reverse()) {
      const link = links.get(id) as Link;
      const above = link.parent === null ? 0 : (made.get(link.parent) ?? 0);
      const created = Math.max(link.time ?? 0, above + 1);
      made.set(id, created);
      if (!link.node) continue;
      const { parent, thought } = followed(link, links);
      nodes.push({ ...link.node, ...(thought && link.node.role === 'model' && { thinking: thought }), id, parent, created });
    }
  }
  return nodes;
}

/** The message that a node follows, and what was thought on the way. */
function followed(link: Link, links: Map<string, Link>): { parent: string | null; thought: string } {
  const thoughts: string[] = [];
  let at = link.parent;
  for (let next = at === null ? undefined : links.get(at); next && !next.node; next = at === null ? undefined : links.get(at)) {
    if (next.thought !== '') thoughts.unshift(next.thought);
    at = next.parent;
  }
  return { parent: at !== null && links.has(at) ? at : null, thought: thoughts.join('\n\n') };
}

/** The message at a node or above it. */
function nearest(id: string | null, links: Map<string, Link>): string | null {
  let at = id;
  for (let link = at === null ? undefined : links.get(at); link && !link.node; link = at === null ? undefined : links.get(at)) at = link.parent;
  return at;
}
