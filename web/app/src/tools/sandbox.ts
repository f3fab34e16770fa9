// A person's own tool at work: each call in a frame of its own, of no origin and without a network (within `sandbox.html`), for a bounded time.

/** Milliseconds that a call may take, its frame included. */
const LIMIT_MS = 5000;

export interface Result {
  text: string;
  /** Characters that there were, of which `text` may be the first. */
  length: number;
}

/**
 * What the code returns, as text.
 *
 * @throws Error that says what went wrong in it, or that it took too long.
 */
export function runInSandbox(body: string, args: Record<string, unknown>, most: number, signal: AbortSignal, limit = LIMIT_MS): Promise<Result> {
  const frame = document.createElement('iframe');
  Object.assign(frame, { src: 'sandbox.html', hidden: true, title: 'A tool at work' });
  let clear = () => undefined as void;
  const result = new Promise<Result>((resolve, reject) => {
    let started = false;
    const receive = ({ source, data }: MessageEvent<unknown>) => {
      const inner = frame.contentWindow?.frames[0];
      if (!inner || source !== inner) return;
      if (data === 'ready' && !started) {
        started = true;
        // A frame of no origin cannot be named otherwise; what it is sent is not secret from the tool.
        return inner.postMessage({ body, args, most }, '*');
      }
      const { error, text, length } = (data ?? {}) as { error?: unknown; text?: unknown; length?: unknown };
      if (typeof error === 'string') reject(new Error(error));
      else if (typeof text === 'string') resolve({ text: text.slice(0, most), length: typeof length === 'number' ? length : text.length });
    };
    const stop = () => reject(new DOMException('stopped', 'AbortError'));
    const late = () => reject(new Error(started ? `the tool took more than ${limit / 1000} s and was stopped` : 'the page’s sandbox cannot be loaded: it needs the page’s server'));
    const timer = setTimeout(late, limit);
    window.addEventListener('message', receive);
    signal.addEventListener('abort', stop);
    clear = () => {
      clearTimeout(timer);
      window.removeEventListener('message', receive);
      signal.removeEventListener('abort', stop);
      // With it goes its worker, whatever that does.
      frame.remove();
    };
    if (signal.aborted) stop();
    else document.body.append(frame);
  });
  return result.finally(() => clear());
}
