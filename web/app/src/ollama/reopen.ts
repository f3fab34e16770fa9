// A model of the folder that was picked before, opened by one click.

import { RullamaError } from 'rullama';
import { folderOf } from './folder.ts';
import { rememberedFolder } from './remembered.ts';
import { readStore, type StoreModel } from './store.ts';
import { ModelsText } from '../texts/en/models.ts';
import { t } from '../texts/text.ts';

const refused = (message: string, remedy: string, cause?: unknown) => new RullamaError('invalid-argument', message, { remedy, ...(cause !== undefined && { cause }) });

/**
 * The model of this name in the folder. The browser asks the person where it wants to, so this must follow a click.
 *
 * @throws RullamaError `invalid-argument` where the folder is not remembered, may not be read, or has no such model.
 */
export async function reopened(name: string): Promise<StoreModel & { file: File | File[] }> {
  const handle = await rememberedFolder();
  if (!handle) throw refused(t(ModelsText.ollamasFolderIsNot), t(ModelsText.chooseTheFolderAgain));
  const state = (await handle.queryPermission?.({ mode: 'read' }).catch(() => 'prompt')) ?? 'granted';
  const may = state === 'granted' || (await handle.requestPermission?.({ mode: 'read' }).catch(() => 'denied')) === 'granted';
  if (!may) throw refused(t(ModelsText.theBrowserWasNot, { handle: handle.name }), t(ModelsText.allowItWhenThe));
  const listing = await readStore(folderOf(handle)).catch((cause: unknown) => {
    throw refused(t(ModelsText.handleCannotBeRead, { handle: handle.name, message: (cause as Error).message }), t(ModelsText.chooseTheFolderAgain), cause);
  });
  const model = listing?.models.find((model) => model.name === name);
  const { file } = model ?? {};
  if (!model || !file) throw refused(t(ModelsText.handleHasNoName, { handle: handle.name, name, value: model?.problem ? `: ${model.problem}` : '' }), t(ModelsText.pullItAgainWith, { name }));
  return { ...model, file };
}
