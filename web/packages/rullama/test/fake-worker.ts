// The worker with the fake engine in it, for development of the page and for its tests.

import type { Reply, Request } from '../src/protocol.ts';
import { serve } from '../src/serve.ts';
import { fakeOpener } from './fake-engine.ts';

const scope = globalThis as unknown as {
  postMessage(message: Reply): void;
  onmessage: ((event: MessageEvent<Request>) => void) | null;
};
serve(
  {
    post: (reply) => scope.postMessage(reply),
    listen: (receive) => (scope.onmessage = (event) => receive(event.data)),
  },
  fakeOpener({ step: 25 }),
);
