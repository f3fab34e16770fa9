// The client's end of the protocol: pending calls by id, events, cancelling, and the loss of the engine.

import { RullamaError } from './errors.ts';
import type { CallName, Calls, ClientEnd, Reply, Request } from './protocol.ts';

interface Pending {
  event: (event: never) => void;
  resolve: (result: never) => void;
  reject: (error: RullamaError) => void;
}

export class Client {
  /** Resolves once, when the engine has become unusable. */
  readonly lost: Promise<RullamaError>;
  private readonly pending = new Map<number, Pending>();
  private nextId = 1;
  private gone: RullamaError | undefined;
  private announceLost!: (error: RullamaError) => void;

  constructor(private readonly end: ClientEnd) {
    this.lost = new Promise((resolve) => (this.announceLost = resolve));
    end.listen((reply) => this.receive(reply));
  }

  /** Starts a call. A `signal` asks the worker to stop it; the call still ends by itself. */
  call<K extends CallName>(
    call: K,
    params: Calls[K]['params'],
    options: { onEvent?: (event: Calls[K]['event']) => void; signal?: AbortSignal | undefined } = {},
  ): Promise<Calls[K]['result']> {
    if (this.gone) return Promise.reject(this.gone);
    const { onEvent, signal } = options;
    const id = this.nextId++;
    const cancel = () => this.end.post({ cancel: id });
    const result = new Promise<Calls[K]['result']>((resolve, reject) => {
      this.pending.set(id, { event: onEvent ?? (() => undefined), resolve, reject });
    }).finally(() => signal?.removeEventListener('abort', cancel));
    try {
      this.end.post({ id, call, params } as Request);
    } catch (cause) {
      this.refuse(id, call, cause);
      return result;
    }
    if (signal?.aborted) cancel();
    else signal?.addEventListener('abort', cancel);
    return result;
  }

  /** Fails what is pending and everything that follows. */
  fail(error: RullamaError): void {
    if (this.gone) return;
    this.gone = error;
    for (const { reject } of this.pending.values()) reject(error);
    this.pending.clear();
    if (error.code !== 'cancelled' && error.code !== 'closed') this.announceLost(error);
  }

  /** Ends a call whose parameters cannot travel to the worker, such as functions. */
  private refuse(id: number, call: CallName, cause: unknown): void {
    const { message } = RullamaError.from(cause);
    const error = new RullamaError('invalid-argument', `${call} cannot be sent to the engine: ${message}`, { cause });
    this.pending.get(id)?.reject(error);
    this.pending.delete(id);
  }

  private receive(reply: Reply): void {
    if ('lost' in reply) return this.fail(RullamaError.from(reply.lost));
    const pending = this.pending.get(reply.id);
    if (!pending) return;
    if ('event' in reply) return pending.event(reply.event as never);
    this.pending.delete(reply.id);
    if ('error' in reply) pending.reject(RullamaError.from(reply.error));
    else pending.resolve(reply.result as never);
  }
}
