// A dictation from its beginning to its end. Loaded with the first one.

import { h } from '../dom.ts';
import { CommonText } from '../texts/en/common.ts';
import { DictationText } from '../texts/en/dictation.ts';
import { t } from '../texts/text.ts';
import type { Session } from './place.ts';
import { askForPack, fetchPack, nameOf, recognise, remarkOn } from './recognise.ts';
import { hears, localRecognition, type Local } from './ways.ts';
import { writeDown } from './write-down.ts';

type Tell = (text: string, ...more: Node[]) => void;

/** Writes what is spoken into the field; gives whether the model does that from now on. */
export async function dictate(session: Session, byModel: boolean): Promise<boolean> {
  const { done, left, leave, line } = session;
  const status = h('span', { role: 'status' });
  line.replaceChildren(status);
  const tell: Tell = (text, ...more) => {
    if (left.aborted) return;
    // Screen readers follow one that stays.
    for (const old of [...line.children].slice(1)) old.remove();
    line.append(...more);
    status.textContent = text;
  };
  // Pressed once more before anything is listened to.
  const early = new AbortController();
  done.addEventListener('abort', leave, { signal: early.signal });
  if (done.aborted) return byModel;
  const local = byModel ? undefined : await localRecognition();
  const way = local && local.readiness !== 'available' && !left.aborted ? await prepared(session, local, tell) : local ? 'browser' : 'model';
  if (left.aborted || way === undefined) return byModel;
  if (way === 'failed' && local) return insteadOf(session, local, 'pack');
  early.abort();
  tell(t(DictationText.gettingReady));
  session.focus();
  const isModel = way === 'model' || !local;
  const over = ends(session, isModel ? session.leave : session.finish);
  const problem = isModel ? await writeDown(session, tell) : await recognise(session, local, () => tell(t(DictationText.listening)));
  over();
  if (left.aborted || problem === undefined) return isModel;
  if (!isModel) return insteadOf(session, local, problem);
  session.remark(problem);
  return true;
}

/** Says why the browser wrote nothing; gives whether the model is to write from now on, which it is where the browser cannot. */
async function insteadOf(session: Session, { lang }: Local, error: string): Promise<boolean> {
  const model = ['pack', 'language-not-supported', 'service-not-allowed'].includes(error) && (await hears(session.engine()));
  if (!session.left.aborted) session.remark(model ? t(DictationText.fromNowOnTheModel, { language: nameOf(lang) }) : remarkOn(error, lang));
  return model;
}

/** Escape and a hidden tab end it as well. */
function ends({ finish }: Session, escape: () => void): () => void {
  const over = new AbortController();
  const { signal } = over;
  const onkeydown = (event: KeyboardEvent) => {
    if (event.key !== 'Escape' || event.isComposing || (event.target instanceof Element && event.target.closest('dialog, [role=menu]'))) return;
    // It would stop an answer, too.
    event.preventDefault();
    escape();
  };
  document.addEventListener('keydown', onkeydown, { capture: true, signal });
  document.addEventListener('visibilitychange', () => document.hidden && finish(), { signal });
  return () => over.abort();
}

/** Has the browser fetch what it lacks, where a person wants that; gives what writes then. */
async function prepared(session: Session, local: Local, tell: Tell): Promise<'browser' | 'model' | 'failed' | undefined> {
  const { left, leave } = session;
  const wanted = local.readiness === 'downloading' ? 'browser' : await askForPack(local.lang, await hears(session.engine()), left);
  if (wanted !== 'browser' || left.aborted) return wanted;
  tell(t(DictationText.isFetched, { language: nameOf(local.lang) }), h('button', { type: 'button', className: 'quiet tool', onclick: leave }, t(CommonText.cancel)));
  const gone = new Promise<undefined>((resolve) => left.addEventListener('abort', () => resolve(undefined)));
  const fetched = await Promise.race([fetchPack(local), gone]);
  return fetched ? 'browser' : fetched === false ? 'failed' : undefined;
}
