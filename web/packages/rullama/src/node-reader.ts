// A thread that reads a model's file beside the one that the engine is in (`node.ts` starts it).

import { parentPort, workerData } from 'node:worker_threads';
import { NodeFile } from './node-file.ts';
import { reader, type FileAt, type ReaderGlue, type ToReader } from './readers/reader.ts';

const glue = (await import(workerData as string)) as ReaderGlue;
const open = async (at: FileAt) => {
  if ('blob' in at) return at;
  if ('stored' in at) throw new Error('there is no private storage here');
  const file = new NodeFile(at.path);
  // It is read as long as the thread is there.
  return { file: { length: file.length, arriving: false, read: file.read.bind(file), close: () => undefined } };
};
const receive = reader(glue, open, (message, transfer) => parentPort?.postMessage(message, transfer));
parentPort?.on('message', (message: ToReader) => void receive(message));
