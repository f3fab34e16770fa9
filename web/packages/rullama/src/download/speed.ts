// How fast bytes come, over the last seconds: a mean over all of a download would hide that the network became another one.

const WINDOW = 8000;

export class Speed {
  private samples: { time: number; done: number }[] = [];

  /** `done` bytes are there at `time`, in milliseconds. */
  add(done: number, time: number): void {
    // What starts again has another speed.
    if (done < (this.samples.at(-1)?.done ?? 0)) this.samples = [];
    this.samples.push({ time, done });
    while (this.samples.length > 2 && (this.samples[1]?.time ?? 0) < time - WINDOW) this.samples.shift();
  }

  /** Bytes a second; nothing before there is something to tell. */
  rate(): number | undefined {
    const [first, last] = [this.samples[0], this.samples.at(-1)];
    if (!first || !last || last.time - first.time < 500) return undefined;
    return ((last.done - first.done) * 1000) / (last.time - first.time);
  }
}
