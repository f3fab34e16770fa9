// What the entry `rullama/api` takes from the other one, so that a page which loads both loads it once: the build puts these modules
// there in the place of their sources.

export * as answer from './answer.ts';
export * as failure from './failure.ts';
export * as fields from './fields.ts';
export * as format from './format.ts';
export * as host from './host.ts';
export * as openai from './openai.ts';
export * as responses from './responses.ts';
export * as sampling from './sampling.ts';
export * as wishes from './openai-wishes.ts';
