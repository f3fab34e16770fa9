// Servers of the Model Context Protocol, over streamable HTTP, by its own client. A connection is kept while the page is open.

import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport, StreamableHTTPError } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { ErrorCode, McpError } from '@modelcontextprotocol/sdk/types.js';
import * as z from 'zod/v4/core';
import type { FunctionTool } from 'rullama';
import { schemaProblem } from './check.ts';
import { ToolsText } from '../texts/en/tools.ts';
import { t } from '../texts/text.ts';

// The page's policy lets no text become code, which the library would try.
z.config({ jitless: true });

/** Results are text for a model: a server's own schema of them is not held against it. */
const getValidator = () => (input: unknown) => ({ valid: true as const, data: input as never, errorMessage: undefined });

const TIMEOUT_MS = 30_000;
/** Most tools of a server, and pages of its list. */
const MOST = 64;
const PAGES = 10;

export interface Address {
  address: string;
  token?: string;
}

const open = new Map<string, Promise<Client>>();
const keyOf = ({ address, token = '' }: Address) => `${token} ${address}`;

function connected(server: Address): Promise<Client> {
  const key = keyOf(server);
  const known = open.get(key);
  if (known) return known;
  const client = new Client({ name: 'rullama', version: '1' }, { jsonSchemaValidator: { getValidator } });
  const headers = server.token ? { Authorization: `Bearer ${server.token}` } : {};
  const transport = new StreamableHTTPClientTransport(new URL(server.address), { requestInit: { headers, credentials: 'omit', referrerPolicy: 'no-referrer' } });
  const opening = client.connect(transport as Parameters<Client['connect']>[0], { timeout: TIMEOUT_MS }).then(() => client);
  open.set(key, opening);
  opening.catch(() => open.delete(key));
  client.onclose = () => open.delete(key);
  return opening;
}

/** Runs `work` with a connection; where the server has forgotten it, with a new one. */
async function withClient<T>(server: Address, work: (client: Client) => Promise<T>): Promise<T> {
  const before = open.has(keyOf(server));
  try {
    return await work(await connected(server));
  } catch (thrown) {
    const forgotten = thrown instanceof StreamableHTTPError && (thrown.code === 404 || thrown.code === 400);
    if (!(before && forgotten)) throw await inWords(server, thrown);
    open.delete(keyOf(server));
    return connected(server).then(work).catch(async (again) => Promise.reject(await inWords(server, again)));
  }
}

/**
 * What a server calls itself, and its tools.
 *
 * @throws Error that says why it cannot be asked, with the remedy.
 */
export async function listTools(server: Address): Promise<{ title: string; tools: FunctionTool[]; leftOut: string[] }> {
  return withClient(server, async (client) => {
    const tools: FunctionTool[] = [];
    const leftOut: string[] = [];
    let cursor: string | undefined;
    for (let page = 0; page < PAGES; page += 1) {
      const list = await client.listTools(cursor === undefined ? {} : { cursor }, { timeout: TIMEOUT_MS });
      for (const { name, description, inputSchema } of list.tools) {
        const problem = tools.length >= MOST ? t(ToolsText.thereAreMoreThan, { most: MOST }) : schemaProblem(inputSchema, t(ToolsText.itsSchema), 0, true);
        if (problem) leftOut.push(`${name.slice(0, 64)} (${problem})`);
        else tools.push({ name, description: (description ?? '').slice(0, 2000), parameters: inputSchema as NonNullable<FunctionTool['parameters']> });
      }
      cursor = list.nextCursor;
      if (cursor === undefined) break;
    }
    return { title: client.getServerVersion()?.name.slice(0, 80) || new URL(server.address).host, tools, leftOut };
  });
}

/**
 * What a tool gives, as text.
 *
 * @throws Error that says why there is none.
 */
export async function callTool(server: Address, name: string, args: Record<string, unknown>, signal: AbortSignal): Promise<string> {
  const { content, structuredContent, isError } = await withClient(server, (client) => client.callTool({ name, arguments: args }, undefined, { signal, timeout: TIMEOUT_MS }));
  const parts = (content as { type: string; text?: string; resource?: { text?: string; uri: string } }[]).map(({ type, text, resource }) => text ?? resource?.text ?? `[${type}, which is not read]`);
  const text = parts.length > 0 ? parts.join('\n') : JSON.stringify(structuredContent ?? null);
  if (isError) throw new Error(text || 'the tool failed');
  return text;
}

/** Ends the connection with a server. */
export async function disconnect(server: Address): Promise<void> {
  const client = await open.get(keyOf(server))?.catch(() => undefined);
  open.delete(keyOf(server));
  await client?.close();
}

async function inWords(server: Address, thrown: unknown): Promise<unknown> {
  const { host } = new URL(server.address);
  if (thrown instanceof StreamableHTTPError) {
    if (thrown.code === 401 || thrown.code === 403) return new Error(server.token ? t(ToolsText.hostRefusesCodeIts, { host, code: thrown.code }) : t(ToolsText.hostRefusesCodeIt, { host, code: thrown.code }));
    if (thrown.code === 404 || thrown.code === 405) return new Error(t(ToolsText.hostHasNoTools, { host, code: thrown.code }));
    return new Error(t(ToolsText.hostAnswersCodeIt, { host, code: String(thrown.code ?? '?') }));
  }
  if (thrown instanceof McpError) {
    if (thrown.code === ErrorCode.RequestTimeout) return new Error(t(ToolsText.hostDoesNotAnswer, { host, seconds: TIMEOUT_MS / 1000 }));
    if (thrown.code === ErrorCode.ConnectionClosed) return new Error(t(ToolsText.hostHasEndedThe, { host }));
    return new Error(thrown.message);
  }
  if (!(thrown instanceof TypeError)) return thrown;
  // The browser does not say which of the two it is. A request whose answer nobody reads tells them apart.
  const there = await fetch(server.address, { mode: 'no-cors', credentials: 'omit', signal: AbortSignal.timeout(5000) }).then(() => true, () => false);
  return new Error(there
    ? t(ToolsText.hostIsThereBut, { host, origin: location.origin })
    : t(ToolsText.hostCannotBeReached, { host }));
}
