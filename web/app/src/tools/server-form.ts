// A server of the Model Context Protocol, added or asked again for its tools.

import type { FunctionTool } from 'rullama';
import { h } from '../dom.ts';
import { namesTaken } from './check.ts';
import type { KeptTools, ServerTool, ToolServer } from './kept.ts';
import { mcp } from './load.ts';
import { urlOf } from './page-tools.ts';
import type { Panel } from './tool-panel.ts';
import type { Toolbox } from './toolbox.ts';
import { CommonText } from '../texts/en/common.ts';
import { ToolsText } from '../texts/en/tools.ts';
import { t } from '../texts/text.ts';

/** Most servers. */
const SERVERS = 16;

/** The form; `server` is the one that is asked again. */
export function serverForm(panel: Panel, server?: ToolServer): HTMLElement {
  const problem = h('p', { className: 'problem', id: 'server-problem', role: 'alert' });
  const address = h('input', { type: 'url', name: 'address', value: server?.address ?? '', placeholder: 'https://example.com/mcp', autocomplete: 'off', 'aria-describedby': 'server-problem' });
  const token = h('input', { type: 'password', name: 'token', value: server?.token ?? '', autocomplete: 'off', 'aria-describedby': 'server-problem' });
  const lasting = h('input', { type: 'checkbox', name: 'lasting', checked: server?.lasting === true, 'aria-describedby': 'lasting-hint' });
  const ask = h('button', { className: 'primary' }, t(ToolsText.askForItsTools));
  const field = (label: string, hint: string, element: HTMLElement) => h('label', { className: 'field wide' }, h('span', {}, label), element, h('small', {}, hint));
  const submit = async (event: Event) => {
    event.preventDefault();
    problem.textContent = '';
    ask.disabled = true;
    ask.textContent = t(ToolsText.asking);
    try {
      const said = await add(panel.toolbox, { address: address.value.trim(), token: token.value.trim(), lasting: lasting.checked }, server);
      // The dialog may have been closed meanwhile, which keeps what was found.
      panel.back(said);
    } catch (thrown) {
      problem.textContent = sentence(thrown instanceof Error ? thrown.message : String(thrown));
      address.focus();
    } finally {
      ask.disabled = false;
      ask.textContent = t(ToolsText.askForItsTools);
    }
  };
  return h('form', { noValidate: true, onsubmit: (event: Event) => void submit(event) },
    h('header', {}, h('h2', { id: 'tools-title' }, server ? server.title : t(ToolsText.aServerWithTools))),
    field(t(ToolsText.address), t(ToolsText.ofAServerOf), address),
    field(t(ToolsText.token), t(ToolsText.onlyWhereTheServer), token),
    h('label', { className: 'check' }, lasting, h('span', {}, t(ToolsText.keepTheTokenIn))),
    h('p', { className: 'hint', id: 'lasting-hint' }, t(ToolsText.itThenLiesThere)),
    problem,
    h('footer', {}, h('button', { type: 'button', className: 'quiet', onclick: () => panel.back('') }, t(CommonText.cancel)), ask));
}

const sentence = (text: string) => `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? '' : '.'}`;

/** Asks a server, and keeps it with its tools; gives what to say of it. */
async function add(toolbox: Toolbox, asked: { address: string; token: string; lasting: boolean }, before?: ToolServer): Promise<string> {
  const url = urlOf(asked.address);
  if (!url || !/^https?:$/.test(url.protocol)) throw new Error(t(ToolsText.writeAWholeAddress));
  if (url.username || url.password) throw new Error(t(ToolsText.writeTheTokenInto));
  const others = toolbox.kept.servers.filter(({ address }) => address !== url.href && address !== before?.address);
  if (others.length >= SERVERS) throw new Error(t(ToolsText.thereAreMostServers, { most: SERVERS }));
  const at = { address: url.href, ...(asked.token && { token: asked.token, locked: true, ...(asked.lasting && { lasting: true }) }) };
  const { listTools, disconnect } = await mcp();
  if (before) await disconnect(before);
  const { title, tools, leftOut } = await listTools(at);
  if (tools.length === 0) throw new Error([t(ToolsText.hostAnswersAndHas, { host: url.host }), ...leftOut].join('; '));
  const kept: KeptTools = { ...toolbox.kept, servers: others };
  toolbox.keep({ ...kept, servers: [...others, { ...at, title, tools: named(tools, namesTaken(kept), url.hostname) }] });
  const has = t(ToolsText.titleHasToolChoose, { title, tools: tools.length });
  return leftOut.length > 0 ? `${has} ${t(ToolsText.leftOutLeftOut, { leftOut: leftOut.join('; ') })}` : has;
}

/** Tools by names that models write and no other tool has. */
function named(tools: FunctionTool[], taken: string[], host: string): ServerTool[] {
  const used = new Set(taken);
  const plain = (text: string) => text.replace(/[^A-Za-z0-9_]+/g, '_').replace(/^(?=\d)/, '_').slice(0, 64);
  return tools.map((tool) => {
    const wanted = plain(tool.name) || 'tool';
    let name = wanted;
    for (let i = 1; used.has(name); i += 1) name = i === 1 ? plain(`${host.split('.')[0]}_${wanted}`) : `${wanted.slice(0, 60)}_${i}`;
    used.add(name);
    return { ...tool, name, original: tool.name };
  });
}

/** Removes a server; gives the names of its tools. */
export async function removeServer(toolbox: Toolbox, server: ToolServer): Promise<string[]> {
  toolbox.keep({ ...toolbox.kept, servers: toolbox.kept.servers.filter(({ address }) => address !== server.address) });
  const { disconnect } = await mcp();
  await disconnect(server).catch(() => undefined);
  return server.tools.map(({ name }) => name);
}
