import { Rullama } from './rullama/index.js';
import { demo } from './rullama/demo.js';

const form = document.querySelector('form');
const status = document.querySelector('[role=status]');
const output = document.querySelector('output');

try {
  const ai = await Rullama.load(demo.file, { onProgress: ({ phase }) => (status.textContent = phase) });
  const chat = ai.chat();
  form.onsubmit = async (event) => {
    event.preventDefault();
    output.textContent = '';
    for await (const part of chat.send(form.elements.prompt.value)) {
      if (part.type === 'content') output.append(part.text);
      if (part.type === 'done') status.textContent = `${part.summary.timings.decodeTokS.toFixed(1)} tokens/s`;
    }
  };
  form.querySelector('button').disabled = false;
} catch (error) {
  status.textContent = `${error.message} ${error.remedy ?? ''}`;
}
