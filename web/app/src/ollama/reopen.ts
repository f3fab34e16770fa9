// A model of the folder that was picked before, opened by one click.

import { RullamaError } from 'rullama';
import { folderOf } from './folder.ts';
import { rememberedFolder } from './remembered.ts';
import { readStore, type StoreModel } from './store.ts';

const refused = (message: string, remedy: string, cause?: unknown) => new RullamaError('invalid-argument', message, { remedy, ...(cause !== undefined && { cause }) });

/**
 * The model of this name in the folder. The browser asks the person where it wants to, so this must follow a click.
 *
 * @throws RullamaError `invalid-argument` where the folder is not remembered, may not be read, or has no such model.
 */
export async function reopened(name: string): Promise<StoreModel & { file: File | File[] }> {
  const handle = await rememberedFolder();
  if (!handle) throw refused('Ollama’s folder is not remembered any more.', 'Choose the folder again.');
  const state = (await handle.queryPermission?.({ mode: 'read' }).catch(() => 'prompt')) ?? 'granted';
  const may = state === 'granted' || (await handle.requestPermission?.({ mode: 'read' }).catch(() => 'denied')) === 'granted';
  if (!may) throw refused(`The browser was not allowed to read “${handle.name}”.`, 'Allow it when the browser asks, or choose the folder again.');
  const listing = await readStore(folderOf(handle)).catch((cause: unknown) => {
    throw refused(`“${handle.name}” cannot be read: ${(cause as Error).message}`, 'Choose the folder again.', cause);
  });
  const model = listing?.models.find((model) => model.name === name);
  const { file } = model ?? {};
  if (!model || !file) throw refused(`“${handle.name}” has no ${name} that loads any more${model?.problem ? `: ${model.problem}` : ''}.`, `Pull it again with \`ollama pull ${name}\`, or choose another model.`);
  return { ...model, file };
}
