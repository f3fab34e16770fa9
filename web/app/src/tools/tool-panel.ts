// The dialog with the tools of a conversation: which the model may call, a person's own, and servers.

import type { FunctionTool } from 'rullama';
import type { ChatRecord } from '../chats/records.ts';
import { h } from '../dom.ts';
import { PAGE_TOOLS, type OwnTool, type ToolServer } from './kept.ts';
import { removeServer, serverForm } from './server-form.ts';
import { toolForm } from './tool-form.ts';
import type { Toolbox } from './toolbox.ts';
import { CommonText } from '../texts/en/common.ts';
import { ToolsText } from '../texts/en/tools.ts';
import { t, translated } from '../texts/text.ts';

export async function openTools(toolbox: Toolbox, record: ChatRecord): Promise<void> {
  new ToolPanel(toolbox, record).show();
}

/** What the panel's parts do with it. */
export interface Panel {
  readonly toolbox: Toolbox;
  /** Shows the list again; `on` are tools that are switched on, `said` what happened. */
  back(said: string, on?: string[]): void;
}

class ToolPanel implements Panel {
  private readonly dialog = h('dialog', { className: 'settings tools', 'aria-labelledby': 'tools-title' });
  private readonly status = h('p', { className: 'hint', role: 'status' });
  private readonly on: Set<string>;
  private readonly initial: HTMLInputElement;

  constructor(
    readonly toolbox: Toolbox,
    private readonly record: ChatRecord,
  ) {
    this.on = new Set(toolbox.named(record.tools).map(({ name }) => name));
    this.initial = h('input', { type: 'checkbox', id: 'tools-for-new' });
    this.dialog.addEventListener('click', (event) => event.target === this.dialog && this.dialog.close());
    this.dialog.addEventListener('close', () => this.dialog.remove());
  }

  show(): void {
    document.body.append(this.dialog);
    this.list();
    this.dialog.showModal();
  }

  back(said: string, on: string[] = []): void {
    for (const name of on) this.on.add(name);
    this.list();
    this.status.textContent = said;
  }

  private list(): void {
    const { own, servers } = this.toolbox.kept;
    const add = (id: string, label: string, form: () => HTMLElement) => h('button', { type: 'button', id, onclick: () => this.form(form()) }, label);
    this.form(h('form', { onsubmit: (event: Event) => this.done(event) },
      h('header', {}, h('h2', { id: 'tools-title' }, t(ToolsText.toolsOfThisChat)), h('button', { type: 'button', className: 'quiet', 'aria-label': t(ToolsText.closeTools), onclick: () => this.dialog.close() }, t(CommonText.close))),
      h('p', { className: 'hint' }, t(ToolsText.whatTheModelMay)),
      this.group(t(ToolsText.ofThisPage), PAGE_TOOLS),
      own.length > 0 && this.group(t(ToolsText.yourOwn), own, (tool) => [
        this.small(t(ToolsText.editTool, { tool: tool.name }), t(CommonText.edit), () => this.form(toolForm(this, tool as OwnTool))),
        this.small(t(ToolsText.deleteTool, { tool: tool.name }), t(CommonText.deleteIt), () => this.remove(tool as OwnTool)),
      ]),
      ...servers.map((server) => this.server(server)),
      h('p', { className: 'actions' }, add('new-tool', t(ToolsText.newTool), () => toolForm(this)), add('add-server', t(ToolsText.addAServer), () => serverForm(this))),
      this.status,
      (this.record.allowed ?? []).length > 0 && h('p', { className: 'hint' }, t(ToolsText.calledWithoutAskingIn, { tools: this.record.allowed?.join(', ') ?? '' }), ' ', this.small(t(ToolsText.askAgainBeforeEach), t(ToolsText.askAgain), () => this.askAgain())),
      h('label', { className: 'check' }, this.initial, h('span', {}, t(ToolsText.beginNewChatsWith))),
      h('footer', {}, h('button', { className: 'primary' }, t(CommonText.done)))));
  }

  private form(form: HTMLElement): void {
    this.status.textContent = '';
    this.dialog.replaceChildren(form);
    this.dialog.scrollTop = 0;
    form.querySelector<HTMLElement>('input, button')?.focus({ preventScroll: true });
  }

  private small(label: string, text: string, run: () => void): HTMLElement {
    return h('button', { type: 'button', className: 'quiet tool', 'aria-label': label, onclick: run }, text);
  }

  private group(title: string, tools: FunctionTool[], actions: (tool: FunctionTool) => HTMLElement[] = () => [], beside: HTMLElement[] = []): HTMLElement {
    const row = (tool: FunctionTool) => {
      const box = h('input', { type: 'checkbox', name: tool.name, checked: this.on.has(tool.name), onchange: () => void (box.checked ? this.on.add(tool.name) : this.on.delete(tool.name)) });
      return h('div', { className: 'tool-row' },
        h('label', { className: 'check' }, box, h('span', { dir: 'auto' }, h('b', {}, tool.name), h('small', {}, tools === PAGE_TOOLS ? translated(tool.description ?? '') : tool.description ?? ''))), ...actions(tool));
    };
    return h('fieldset', {}, h('legend', {}, title), ...tools.map(row), ...beside);
  }

  private server(server: ToolServer): HTMLElement {
    const { host } = new URL(server.address);
    const [again, forget] = [
      this.small(t(ToolsText.askTitleAgain, { title: server.title }), t(ToolsText.askAgain), () => this.form(serverForm(this, server))),
      this.small(t(ToolsText.removeTitle, { title: server.title }), t(ToolsText.remove), () => void removeServer(this.toolbox, server).then((names) => {
        for (const name of names) this.on.delete(name);
        this.back(t(ToolsText.titleIsRemoved, { title: server.title }));
      })),
    ];
    const gone = server.locked && !server.token ? [h('p', { className: 'hint' }, t(ToolsText.itsTokenIsForgotten))] : [];
    return this.group(`${server.title} (${host})`, server.tools, () => [], [...gone, h('p', { className: 'actions' }, again, forget)]);
  }

  private remove(tool: OwnTool): void {
    const { kept } = this.toolbox;
    const on = this.on.delete(tool.name);
    this.toolbox.keep({ ...kept, own: kept.own.filter(({ name }) => name !== tool.name) });
    this.back(t(ToolsText.toolIsDeleted, { tool: tool.name }));
    const undo = this.small(t(ToolsText.bringToolBack, { tool: tool.name }), t(CommonText.undo), () => {
      this.toolbox.keep({ ...this.toolbox.kept, own: [...this.toolbox.kept.own, tool] });
      this.back(t(ToolsText.toolIsBack, { tool: tool.name }), on ? [tool.name] : []);
    });
    this.status.append(' ', undo);
    undo.focus();
  }

  private askAgain(): void {
    void this.toolbox.forbid(this.record).then(() => this.back(t(ToolsText.eachCallAsksAgain)));
  }

  private done(event: Event): void {
    event.preventDefault();
    const names = [...this.on];
    if (this.initial.checked) this.toolbox.keep({ ...this.toolbox.kept, initial: names });
    void this.toolbox.set(this.record, names);
    this.dialog.close();
  }
}
