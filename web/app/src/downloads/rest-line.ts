// Below the composer, while a model answers whose file is still arriving: how far it is, and a button to pause it.

import type { Downloaded, Rest, RestState } from 'rullama';
import { h } from '../dom.ts';
import { bytes } from '../format.ts';
import { CommonText } from '../texts/en/common.ts';
import { ModelsText } from '../texts/en/models.ts';
import { t } from '../texts/text.ts';
import { farOf, stateOf } from './words.ts';

/** Shows the line until all is here, or the model is gone. */
export function showRest(rest: Rest, toast: (text: string) => void): void {
  const bar = h('progress', { max: 1, 'aria-label': t(ModelsText.howMuchOfThe) });
  const text = h('span', { className: 'rest-text' });
  const problem = h('p', { className: 'rest-problem', role: 'alert', hidden: true });
  const button = h('button', { type: 'button', className: 'quiet', id: 'rest-pause' });
  const line = h('div', { className: 'rest', role: 'group', 'aria-label': t(ModelsText.theRestOfThe) }, problem, bar, text, button);
  const stop = rest.watch((state) => show(state));

  function show({ progress, error }: RestState): void {
    const paused = progress.state === 'paused';
    if (progress.total !== undefined) bar.value = Math.min(progress.done / progress.total, 1);
    write(text, t(ModelsText.happensFar, { happens: stateOf(progress) || t(ModelsText.theRestOfTheModel), far: farOf(progress) }));
    write(problem, error ? `${error.message} ${error.remedy}` : '');
    problem.hidden = !error;
    write(button, error ? t(CommonText.tryAgain) : paused ? t(ModelsText.resume) : t(CommonText.pause));
    button.onclick = () => (paused ? rest.resume() : rest.pause());
  }

  document.querySelector('#chat .composer')?.append(line);
  const whole = ({ bytes: size, verified }: Downloaded) => toast(t(verified ? ModelsText.allOfTheModelIs : ModelsText.allOfTheModel, { size: bytes(size) }));
  void rest.done.then(whole, () => undefined).then(() => {
    stop();
    line.remove();
  });
}

function write(element: HTMLElement, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}
