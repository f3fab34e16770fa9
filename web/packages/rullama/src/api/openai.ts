// OpenAI's API on an engine: each request as a function from its JSON to the answer's.

import { answer, type Given } from './answer.ts';
import { Failure } from './failure.ts';
import type { Host } from './host.ts';
import { ChatRecords, CompletionRecords } from './openai-records.ts';
import type { ChatCompletion, ChatCompletionChunk, Completion, EmbeddingsAnswer, ModelList, OpenAIModel } from './openai-types.ts';
import * as wishes from './openai-wishes.ts';

export function chatCompletion(host: Host, json: unknown, control: AbortController): Promise<Given<ChatCompletion, ChatCompletionChunk>> {
  const wish = wishes.chat(json);
  return answer(host, wish, new ChatRecords(wish), control);
}

export function completion(host: Host, json: unknown, control: AbortController): Promise<Given<Completion, Completion>> {
  const wish = wishes.completion(json);
  return answer(host, wish, new CompletionRecords(wish), control);
}

export async function embeddings(host: Host, json: unknown, signal: AbortSignal): Promise<EmbeddingsAnswer> {
  const { model, texts, options, base64 } = wishes.embedding(json);
  host.check(model);
  host.embeds();
  const { vectors, tokens } = await host.inQueue(() => host.engine.embed(texts, { ...options, signal }));
  const written = (vector: Float32Array) => (base64 ? inBase64(vector) : Array.from(vector)) as number[];
  const data = vectors.map((vector, index) => ({ object: 'embedding' as const, embedding: written(vector), index }));
  const all = tokens.reduce((sum, count) => sum + count, 0);
  return { object: 'list', data, model, usage: { prompt_tokens: all, total_tokens: all } };
}

/** Little-endian f32 in base64. */
function inBase64(vector: Float32Array): string {
  const view = new DataView(new ArrayBuffer(vector.length * 4));
  vector.forEach((value, i) => view.setFloat32(4 * i, value, true));
  return btoa(Array.from(new Uint8Array(view.buffer), (byte) => String.fromCharCode(byte)).join(''));
}

const record = (host: Host): OpenAIModel => ({
  id: host.name,
  object: 'model',
  created: Math.floor(host.loaded.getTime() / 1000),
  owned_by: 'library',
});

export const models = (host: Host): ModelList => ({ object: 'list', data: [record(host)] });

/** @throws Failure for a model that is not here. */
export function model(host: Host, id: string): OpenAIModel {
  if (id === '') throw new Failure(404, 'there is no model without a name.');
  host.check(id);
  return record(host);
}
