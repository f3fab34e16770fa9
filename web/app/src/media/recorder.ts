// What a microphone hears, as a file, and how loud it is meanwhile.

export interface Recording {
  /** Seconds since it began. */
  seconds(): number;
  /** Ends it; what was heard. */
  end(): Promise<Blob>;
}

export function record(stream: MediaStream): Recording {
  const recorder = new MediaRecorder(stream);
  const parts: Blob[] = [];
  recorder.ondataavailable = ({ data }) => parts.push(data);
  const stopped = new Promise<void>((resolve) => (recorder.onstop = () => resolve()));
  recorder.start(1000);
  const began = performance.now();
  return {
    seconds: () => (performance.now() - began) / 1000,
    end: async () => {
      // It ends by itself where the microphone is taken away.
      if (recorder.state !== 'inactive') recorder.stop();
      await stopped;
      // Some browsers name a type for videos.
      return new Blob(parts, { type: recorder.mimeType.replace(/^video/, 'audio') });
    },
  };
}

/** Calls `heard` with the loudness, from 0 to 1, some times a second, with nothing where the browser does not tell it; gives what ends that. */
export function watchLevel(stream: MediaStream, heard: (level: number | undefined) => void): () => void {
  const context = new AudioContext();
  const analyser = context.createAnalyser();
  context.createMediaStreamSource(stream).connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  const timer = setInterval(() => {
    analyser.getFloatTimeDomainData(samples);
    heard(context.state === 'running' ? Math.min(1, Math.max(...samples.map(Math.abs))) : undefined);
  }, 100);
  return () => {
    clearInterval(timer);
    void context.close();
  };
}

/** Seconds as clocks show them. */
export function clock(seconds: number): string {
  return `${Math.floor(seconds / 60)}:${String(Math.floor(seconds) % 60).padStart(2, '0')}`;
}

/** The microphone, or the camera. */
export async function streamOf(wanted: MediaStreamConstraints): Promise<MediaStream> {
  if (!navigator.mediaDevices) throw new DOMException('', 'SecurityError');
  return navigator.mediaDevices.getUserMedia(wanted);
}

export const letGo = (stream: MediaStream | undefined): void => stream?.getTracks().forEach((track) => track.stop());
