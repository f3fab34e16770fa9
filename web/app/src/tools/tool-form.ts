// A person's own tool, written or changed.

import { h } from '../dom.ts';
import { checked, type Written } from './check.ts';
import type { OwnTool } from './kept.ts';
import type { Panel } from './tool-panel.ts';
import { CommonText } from '../texts/en/common.ts';
import { ToolsText } from '../texts/en/tools.ts';
import { t } from '../texts/text.ts';

const EXAMPLE = {
  schema: '{\n  "type": "object",\n  "properties": {\n    "text": { "type": "string", "description": "The text" }\n  },\n  "required": ["text"]\n}',
  body: 'return args.text.trim().split(/\\s+/).length;',
};

/** The form; `tool` is the one that is changed. */
export function toolForm(panel: Panel, tool?: OwnTool): HTMLElement {
  const problem = h('p', { className: 'problem', id: 'tool-problem', role: 'alert' });
  const area = (name: string, value: string, rows: number) => h('textarea', { name, rows, value, spellcheck: false, className: 'code-field', dir: 'ltr', 'aria-describedby': 'tool-problem' });
  const name = h('input', { type: 'text', name: 'name', value: tool?.name ?? '', autocomplete: 'off', spellcheck: false, placeholder: 'word_count', 'aria-describedby': 'tool-problem' });
  const description = h('textarea', { name: 'description', rows: 2, dir: 'auto', value: tool?.description ?? '', placeholder: t(ToolsText.countTheWordsOf), 'aria-describedby': 'tool-problem' });
  const fields = { name, description, schema: area('schema', tool ? JSON.stringify(tool.parameters, null, 2) : EXAMPLE.schema, 7), body: area('body', tool?.body ?? EXAMPLE.body, 7) };
  const field = (label: string, hint: string, element: HTMLElement) => h('label', { className: 'field wide' }, h('span', {}, label), element, h('small', {}, hint));
  const save = (event: Event) => {
    event.preventDefault();
    const written = Object.fromEntries(Object.entries(fields).map(([key, { value }]) => [key, value])) as unknown as Written;
    const { kept } = panel.toolbox;
    const made = checked(written, kept, tool?.name);
    if ('problem' in made) {
      problem.textContent = made.problem;
      for (const [key, element] of Object.entries(fields)) element.setAttribute('aria-invalid', String(key === made.field));
      return fields[made.field].focus();
    }
    const own = tool ? kept.own.map((one) => (one.name === tool.name ? made : one)) : [...kept.own, made];
    panel.toolbox.keep({ ...kept, own });
    panel.back(tool ? t(ToolsText.madeIsChanged, { made: made.name }) : t(ToolsText.madeIsSavedAnd, { made: made.name }), tool && tool.name === made.name ? [] : [made.name]);
  };
  return h('form', { noValidate: true, onsubmit: save },
    h('header', {}, h('h2', { id: 'tools-title' }, tool ? t(ToolsText.changeTool, { tool: tool.name }) : t(ToolsText.aToolOfYour))),
    field(t(CommonText.name), t(ToolsText.whatTheModelCalls), name),
    field(t(ToolsText.whatItDoes), t(ToolsText.theModelChoosesBy), description),
    field(t(ToolsText.arguments), t(ToolsText.aJSONSchemaOf), fields.schema),
    field(t(ToolsText.code), t(ToolsText.javaScriptItGetsArgs), fields.body),
    problem,
    h('footer', {}, h('button', { type: 'button', className: 'quiet', onclick: () => panel.back('') }, t(CommonText.cancel)), h('button', { className: 'primary' }, t(CommonText.save))));
}
