import { Ollama } from 'ollama/browser';
import { Rullama } from 'rullama';
import { serveApis } from 'rullama/api';
import { demo } from 'rullama/demo';

const form = document.querySelector('form');
const status = document.querySelector('[role=status]');
const output = document.querySelector('output');

try {
  const ai = await Rullama.load(demo.file, { onProgress: ({ phase }) => (status.textContent = phase) });
  const { address } = await serveApis(ai, { model: 'demo' });
  // From here on the program is one that was written for Ollama: `http://127.0.0.1:11434` in place of `address` asks a server.
  const ollama = new Ollama({ host: address });
  form.onsubmit = async (event) => {
    event.preventDefault();
    output.textContent = '';
    const messages = [{ role: 'user', content: form.elements.prompt.value }];
    for await (const part of await ollama.chat({ model: 'demo', messages, stream: true })) {
      output.append(part.message.content);
      if (part.done) status.textContent = `${((1e9 * part.eval_count) / part.eval_duration).toFixed(1)} tokens/s`;
    }
  };
  form.querySelector('button').disabled = false;
} catch (error) {
  status.textContent = `${error.message} ${error.remedy ?? ''}`;
}
