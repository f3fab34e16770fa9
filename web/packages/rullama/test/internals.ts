// What the unit tests reach into.

export { Adapter } from '../src/adapters.ts';
export { modelAddress } from '../src/address.ts';
export { checkGenerate, checkHistory, checkIds, checkLoad, checkQuestion, checkTune } from '../src/check.ts';
export { apiHandler, clientFetch } from '../src/api/handler.ts';
export { openaiClient, OpenAIError } from '../src/openai.ts';
export { Client } from '../src/client.ts';
export { watchDevices } from '../src/device.ts';
export { ERROR_CODES, RullamaError } from '../src/errors.ts';
export { pickedRef } from '../src/picked.ts';
export { statedSize } from '../src/picture.ts';
export { localPair } from '../src/protocol.ts';
export { Engine } from '../src/rullama.ts';
export { serve } from '../src/serve.ts';
export { fakeOpener } from './fake-engine.ts';
export { download } from '../src/download/download.ts';
export { Keeper } from '../src/download/keep.ts';
export { begun, downloadModel } from '../src/download/parts.ts';
export { PIECE, Pieces } from '../src/download/pieces.ts';
export { tableIn } from '../src/download/table.ts';
export { fileName, partAddresses } from '../src/download/record.ts';
export { sleep } from '../src/download/host.ts';
export { NodeFile } from '../src/node-file.ts';
export { ReaderPool } from '../src/readers/pool.ts';
export { reader } from '../src/readers/reader.ts';
