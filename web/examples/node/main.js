import { demo } from 'rullama/demo';
import { loadInNode } from 'rullama/node';

const ai = await loadInNode(process.env.MODEL ?? demo.file);
const chat = ai.chat();
for await (const event of chat.send(process.argv[2] ?? 'What is the capital of France?')) {
  if (event.type === 'content') process.stdout.write(event.text);
}
console.log(`\n${chat.last.timings.decodeTokS.toFixed(1)} tokens/s on ${ai.info.device}`);
await ai.close();
process.exit(); // Dawn keeps threads of its own
