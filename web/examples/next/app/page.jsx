'use client';

import { useEffect, useState } from 'react';
import { Rullama } from 'rullama';
import { useChat } from 'rullama/react';

export default function Page() {
  const [ai, setAi] = useState();
  const [status, setStatus] = useState('loading');
  useEffect(() => {
    const control = new AbortController();
    // The demo model is a file to fetch, which a page made on a server has no address for.
    const load = async () => {
      const { demo } = await import('rullama/demo');
      return Rullama.load(demo.file, { onProgress: ({ phase }) => setStatus(phase), signal: control.signal });
    };
    const loading = load();
    loading.then((ai) => (setAi(ai), setStatus('')), (error) => control.signal.aborted || setStatus(`${error.message} ${error.remedy ?? ''}`));
    return () => {
      control.abort();
      void loading.then((ai) => ai.close(), () => undefined);
    };
  }, []);
  const { messages, busy, error, last, send } = useChat(ai);
  const [prompt, setPrompt] = useState('What is the capital of France?');
  return (
    <>
      <form onSubmit={(event) => (event.preventDefault(), void send(prompt))}>
        <label>
          Ask the demo model <input name="prompt" value={prompt} onChange={(event) => setPrompt(event.target.value)} />
        </label>
        <button disabled={!ai || busy}>Ask</button>
      </form>
      <p role="status">{error ? `${error.message} ${error.remedy}` : last && !busy ? `${last.timings.decodeTokS.toFixed(1)} tokens/s` : status}</p>
      <output>{messages.map((message, i) => <p key={i}>{message.content}</p>)}</output>
    </>
  );
}
