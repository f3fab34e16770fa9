// A browser's recognition of speech as the Web Speech API says, which hears what a test says.

/** For `addInitScript`: `readiness` is, by language, what `available` tells of this device; `knows` is whether it has heard of processing locally. */
export function fakeRecognition({ readiness = {}, knows = true, installs = true }) {
  const speech = (globalThis.speech = { readiness, asked: [], installed: [], made: [], finishInstall: undefined });
  const queue = (run) => setTimeout(run);
  class SpeechRecognition extends EventTarget {
    lang = '';
    continuous = false;
    interimResults = false;
    maxAlternatives = 1;
    state = 'idle';
    results = [];

    constructor() {
      super();
      for (const type of ['start', 'audiostart', 'result', 'error', 'end']) {
        this[`on${type}`] = null;
        this.addEventListener(type, (event) => this[`on${type}`]?.(event));
      }
      speech.made.push(this);
    }

    start() {
      if (this.state !== 'idle') throw new DOMException('It has begun already.', 'InvalidStateError');
      this.local = knows && this.processLocally === true;
      if (this.local && speech.readiness[this.lang] !== 'available') return queue(() => this.fail('service-not-allowed'));
      this.state = 'started';
      queue(() => this.state === 'started' && (this.emit('start'), this.emit('audiostart')));
    }

    // Nothing more is listened to, what was heard becomes final.
    stop() {
      if (this.state !== 'started') return;
      this.state = 'stopping';
      queue(() => {
        if (this.state !== 'stopping') return;
        const last = this.results.at(-1);
        if (last && !last.isFinal) this.say(last[0].transcript, true);
        this.end();
      });
    }

    abort() {
      if (this.state === 'idle') return;
      this.state = 'aborting';
      queue(() => this.state === 'aborting' && (this.emit('error', { error: 'aborted' }), this.end()));
    }

    // Below is what a test does.

    /** The utterance that is being heard, in place of what was heard of it before. */
    say(transcript, isFinal = false) {
      if (this.results.at(-1)?.isFinal === false) this.results.pop();
      this.results.push(Object.assign([{ transcript, confidence: 0.9 }], { isFinal }));
      this.emit('result', { resultIndex: this.results.length - 1, results: [...this.results] });
    }

    fail(error) {
      this.emit('error', { error, message: '' });
      this.end();
    }

    end() {
      this.state = 'idle';
      this.emit('end');
    }

    emit(type, fields = {}) {
      this.dispatchEvent(Object.assign(new Event(type), fields));
    }

    static async available({ langs, processLocally = false }) {
      speech.asked.push({ langs, processLocally });
      return processLocally ? (speech.readiness[langs[0]] ?? 'unavailable') : 'available';
    }

    static install({ langs }) {
      speech.installed.push(langs[0]);
      speech.readiness[langs[0]] = 'downloading';
      return new Promise((resolve) => (speech.finishInstall = () => {
        speech.readiness[langs[0]] = installs ? 'available' : 'downloadable';
        resolve(installs);
      }));
    }
  }
  if (knows) SpeechRecognition.prototype.processLocally = false;
  else delete SpeechRecognition.available;
  for (const name of ['SpeechRecognition', 'webkitSpeechRecognition']) Object.defineProperty(window, name, { value: SpeechRecognition, configurable: true });
}

/** For `addInitScript`: a browser that recognises nothing. */
export function noRecognition() {
  for (const name of ['SpeechRecognition', 'webkitSpeechRecognition']) Object.defineProperty(window, name, { value: undefined });
}
