// Why a request is not answered, before it has the form of an API.

import { RullamaError } from '../errors.ts';

/** The form of an API's errors. */
export type Form = 'ollama' | 'openai';

/** An error as OpenAI's API sends it. */
export interface ErrorBody {
  message: string;
  type: string;
  /** The field of the request that is at fault. */
  param: string | null;
  code: string | null;
}

/** An error with its HTTP status. */
export class Failure extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly field?: string,
    /** A name for programs, where OpenAI has one. */
    readonly code?: string,
  ) {
    super(message);
    this.name = 'Failure';
  }

  /** A field that cannot be what it is. */
  static field(name: string, message: string): Failure {
    return new Failure(400, `\`${name}\` ${message}`, name);
  }

  /** What the engine or anything else threw. */
  static from(thrown: unknown): Failure {
    if (thrown instanceof Failure) return thrown;
    const error = RullamaError.from(thrown);
    const message = `${error.message} ${error.remedy}`.slice(0, 1000);
    if (error.code === 'context-full') return new Failure(400, message, undefined, 'context_length_exceeded');
    // The engine names the field first.
    if (error.code === 'invalid-argument') return new Failure(400, message, /^`([^`]+)`/.exec(message)?.[1]);
    return new Failure(error.code === 'cancelled' || error.code === 'closed' ? 503 : 500, message);
  }

  get openai(): ErrorBody {
    return { message: this.message, type: this.kind, param: this.field ?? null, code: this.code ?? null };
  }

  body(form: Form): { error: ErrorBody | string } {
    return { error: form === 'openai' ? this.openai : this.message };
  }

  respond(form: Form): Response {
    const headers = { 'Content-Type': 'application/json', ...(this.status === 503 && { 'Retry-After': '5' }) };
    return new Response(JSON.stringify(this.body(form)), { status: this.status, headers });
  }

  private get kind(): string {
    if (this.status === 404) return 'not_found_error';
    if (this.status === 503) return 'service_unavailable_error';
    return this.status >= 500 ? 'server_error' : 'invalid_request_error';
  }
}

/** The form for an address. */
export const formOf = (pathname: string): Form => (pathname === '/v1' || pathname.startsWith('/v1/') ? 'openai' : 'ollama');
