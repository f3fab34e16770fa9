// Compiled, not run: what npm's `openai` takes and gives, and what `Rullama.openai()` does, fit each other.

import type OpenAI from 'openai';
import type { OpenAIClient } from '../src/openai.ts';

type Params = OpenAI.Chat.Completions.ChatCompletionCreateParamsNonStreaming;
type Streaming = OpenAI.Chat.Completions.ChatCompletionCreateParamsStreaming;

/** A program that was written for the other client, with requests of its types and answers kept as its types. */
export async function program(client: OpenAIClient, whole: Params, streaming: Streaming, message: OpenAI.ChatCompletionMessageParam) {
  const completion: OpenAI.ChatCompletion = await client.chat.completions.create(whole);
  const stream: AsyncIterable<OpenAI.ChatCompletionChunk> = await client.chat.completions.create(streaming);
  const chunks: OpenAI.ChatCompletionChunk[] = [];
  for await (const chunk of await client.chat.completions.create({ model: 'm', messages: [message], stream: true })) chunks.push(chunk);
  const text: OpenAI.Completion = await client.completions.create({ model: 'm', prompt: 'a' } satisfies OpenAI.CompletionCreateParamsNonStreaming);
  const embeddings: OpenAI.CreateEmbeddingResponse = await client.embeddings.create({ model: 'm', input: 'a' } satisfies OpenAI.EmbeddingCreateParams);
  const models: OpenAI.Model[] = (await client.models.list()).data;
  const model: OpenAI.Model = await client.models.retrieve('m');
  const response: OpenAI.Responses.Response = await client.responses.create({ model: 'm', input: 'a' } satisfies OpenAI.Responses.ResponseCreateParamsNonStreaming);
  const events: OpenAI.Responses.ResponseStreamEvent[] = [];
  for await (const event of await client.responses.create({ model: 'm', input: [{ role: 'user', content: 'a' }], stream: true })) events.push(event);
  // An answer is a message of the next request.
  const next: OpenAI.ChatCompletionMessageParam[] = [message, completion.choices[0]?.message ?? message];
  await client.chat.completions.create({ messages: next });
  return { response, events, completion, stream, chunks, text, embeddings, models, model };
}
