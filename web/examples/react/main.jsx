import { useEffect, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { Rullama } from 'rullama';
import { demo } from 'rullama/demo';
import { useChat } from 'rullama/react';

function useModel(source) {
  const [state, setState] = useState({ status: 'loading' });
  useEffect(() => {
    const control = new AbortController();
    const onProgress = ({ phase }) => setState({ status: phase });
    const loading = Rullama.load(source, { onProgress, signal: control.signal });
    loading.then((ai) => setState({ ai, status: '' }), (error) => control.signal.aborted || setState({ status: `${error.message} ${error.remedy ?? ''}` }));
    return () => {
      control.abort();
      void loading.then((ai) => ai.close(), () => undefined);
    };
  }, [source]);
  return state;
}

function App() {
  const { ai, status } = useModel(demo.file);
  const { messages, busy, error, last, send, stop } = useChat(ai);
  const [prompt, setPrompt] = useState('What is the capital of France?');
  const submit = (event) => {
    event.preventDefault();
    if (busy) stop();
    else void send(prompt);
  };
  return (
    <>
      <form onSubmit={submit}>
        <label>
          Ask the demo model <input name="prompt" value={prompt} onChange={(event) => setPrompt(event.target.value)} />
        </label>
        <button disabled={!ai}>{busy ? 'Stop' : 'Ask'}</button>
      </form>
      <p role="status">{error ? `${error.message} ${error.remedy}` : last && !busy ? `${last.timings.decodeTokS.toFixed(1)} tokens/s` : status}</p>
      <output>{messages.map((message, i) => <p key={i}>{message.content}</p>)}</output>
    </>
  );
}

createRoot(document.body).render(<App />);
