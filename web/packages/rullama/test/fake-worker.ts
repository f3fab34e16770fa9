// The worker with the fake engine in it, for development of the page and for its tests.

import type { FollowedAnswer } from '../src/engine.ts';
import type { Reply, Request } from '../src/protocol.ts';
import { serve } from '../src/serve.ts';
import { fakeOpener } from './fake-engine.ts';

const scope = globalThis as unknown as {
  postMessage(message: Reply): void;
  onmessage: ((event: MessageEvent<Request>) => void) | null;
};

/** What compiles schemas: all but those with `not`. */
class FakeCompiler {
  follow(schema: string): FollowedAnswer {
    if (schema.includes('"not"')) throw new Error('the schema\'s keyword `not` at # is not supported');
    return { allowed: () => new Uint32Array(1), accept: () => undefined, free: () => undefined };
  }

  follow_call(functions: string): FollowedAnswer {
    return this.follow(functions);
  }
}

serve(
  {
    post: (reply) => scope.postMessage(reply),
    listen: (receive) => (scope.onmessage = (event) => receive(event.data)),
  },
  fakeOpener({ step: 25 }),
  async () => FakeCompiler,
);
