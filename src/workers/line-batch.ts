import process from 'node:process';

import type { LogStream } from '../log/log.ts';

/** Log lines on their way to the thread that writes them: those of one turn of the event loop together, none lost at the end. */
export class LineBatch implements LogStream, Disposable {
  readonly #send: (lines: string) => void;
  #pending = '';
  #timer: NodeJS.Immediate | undefined = undefined;
  readonly #flush = (): void => {
    clearImmediate(this.#timer);
    this.#timer = undefined;
    const lines = this.#pending;
    this.#pending = '';
    if (lines !== '') this.#send(lines);
  };

  constructor(send: (lines: string) => void) {
    this.#send = send;
    process.on('exit', this.#flush);
  }

  write(lines: string): void {
    this.#pending += lines;
    this.#timer ??= setImmediate(this.#flush);
  }

  [Symbol.dispose](): void {
    process.off('exit', this.#flush);
    this.#flush();
  }
}
