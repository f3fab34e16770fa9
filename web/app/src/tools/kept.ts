// The tools that a model may call: those of the page, a person's own, those of servers. What a person adds is kept in the browser.

import type { FunctionTool } from 'rullama';

/** A tool of a person's own: JavaScript that gets `args`, and whose result the model reads. */
export interface OwnTool extends FunctionTool {
  body: string;
}

/** A tool of a server. `name` is what the model calls it, which differs from the server's where another tool is called that. */
export interface ServerTool extends FunctionTool {
  original: string;
}

/** A server of the Model Context Protocol. */
export interface ToolServer {
  address: string;
  /** What it calls itself. */
  title: string;
  /** Forgotten with the tab, unless a person wants it kept: what a page stores lies there as it is. */
  token?: string;
  lasting?: boolean;
  /** Whether it was given a token, which may be gone. */
  locked?: boolean;
  /** What it offered when it was last asked. */
  tools: ServerTool[];
}

export interface KeptTools {
  own: OwnTool[];
  servers: ToolServer[];
  /** Names of the tools that new conversations begin with. */
  initial: string[];
}

const text = (description: string) => ({ type: 'string', description });
const integer = (description: string) => ({ type: 'integer', description });

/** What only examples offer: a click on one confirms its calls. */
export const EXAMPLE_TOOL: FunctionTool = {
  name: 'multiply',
  description: 'Multiply two numbers',
  parameters: { type: 'object', properties: { a: integer('First number'), b: integer('Second number') }, required: ['a', 'b'] },
};

export const PAGE_TOOLS: FunctionTool[] = [
  {
    name: 'clock',
    description: 'Tell the present date, weekday and time.',
    parameters: { type: 'object', properties: { timezone: text('A time zone such as Europe/Zurich; the user’s own where it is missing') } },
  },
  {
    name: 'calculator',
    description: 'Compute an arithmetic expression exactly, with + - * / ^ ( ), percent, factorial, sqrt, ln, log10, sin, cos, tan (radians), abs, round, floor, ceil, min, max, pi and e.',
    parameters: { type: 'object', properties: { expression: text('The expression, such as (3 + 4.5) * 2^10') }, required: ['expression'] },
  },
  {
    name: 'fetch_page',
    description: 'Read the text of a web page.',
    parameters: { type: 'object', properties: { url: text('The page’s whole address, with https://'), start: integer('The first character to read of a long page; 0 where it is missing') }, required: ['url'] },
  },
];

const STORE = 'rullama.tools';
/** Tokens that are forgotten with the tab, by address. */
const TOKENS = 'rullama.tool-tokens';
const EMPTY: KeptTools = { own: [], servers: [], initial: [] };

/** What is kept; of what is damaged nothing. */
export function readTools(kept = keptText(), tokens = tokensHere()): KeptTools {
  try {
    const { own = [], servers = [], initial = [] } = JSON.parse(kept ?? '{}') as Partial<KeptTools>;
    const named = (tool: FunctionTool) => typeof tool.name === 'string' && (tool.description === undefined || typeof tool.description === 'string') && typeof tool.parameters === 'object';
    const isServer = ({ address, title, token, tools }: ToolServer) => typeof address === 'string' && typeof title === 'string' && typeof (token ?? '') === 'string' && tools.every((tool) => named(tool) && typeof tool.original === 'string');
    return {
      own: own.filter((tool) => named(tool) && typeof tool.body === 'string'),
      servers: servers.filter(isServer).map((server) => withToken(server, tokens)),
      initial: initial.filter((name) => typeof name === 'string'),
    };
  } catch {
    return structuredClone(EMPTY);
  }
}

/** A token that lies with its server was to be kept; others are this tab's. */
function withToken({ lasting: _, ...server }: ToolServer, tokens: Record<string, unknown>): ToolServer {
  if (server.token) return { ...server, lasting: true, locked: true };
  const token = tokens[server.address];
  return typeof token === 'string' && token !== '' ? { ...server, token } : server;
}

function tokensHere(): Record<string, unknown> {
  try {
    return (JSON.parse(sessionStorage.getItem(TOKENS) ?? '{}') ?? {}) as Record<string, unknown>;
  } catch {
    return {};
  }
}

function keepTokens(servers: ToolServer[]): void {
  try {
    const own = servers.flatMap(({ address, token, lasting }) => (token && !lasting ? [[address, token]] : []));
    if (own.length > 0) sessionStorage.setItem(TOKENS, JSON.stringify(Object.fromEntries(own)));
    else sessionStorage.removeItem(TOKENS);
  } catch {
    // They then last as long as the page.
  }
}

/** A server as it is kept beyond the tab. */
function lastingOf({ token, lasting, ...server }: ToolServer): ToolServer {
  return { ...server, ...(token && { locked: true }), ...(token && lasting && { token }) };
}

function keptText(): string | null {
  try {
    return localStorage.getItem(STORE);
  } catch {
    return null;
  }
}

/** Whether it could be kept. */
export function writeTools(kept: KeptTools): boolean {
  keepTokens(kept.servers);
  try {
    localStorage.setItem(STORE, JSON.stringify({ ...kept, servers: kept.servers.map(lastingOf) }));
    return true;
  } catch {
    return false;
  }
}

/** The tool of this name as the model is told of it. */
export function toolNamed(name: string, { own, servers }: KeptTools): FunctionTool | undefined {
  const all = [EXAMPLE_TOOL, ...PAGE_TOOLS, ...own, ...servers.flatMap(({ tools }) => tools)];
  const found = all.find((tool) => tool.name === name);
  return found && { name, ...(found.description !== undefined && { description: found.description }), ...(found.parameters && { parameters: found.parameters }) };
}
