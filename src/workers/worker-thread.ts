import { Worker } from 'node:worker_threads';

import type { Clock } from '../cache/ports.ts';
import type { BoundListener } from '../server/data-server.ts';
import { Heard } from './heard.ts';
import { LineBacklog } from './line-backlog.ts';
import type {
  Call,
  CallName,
  NumbersCall,
  WorkerCalls,
  WorkerGround,
  WorkerNumbers,
  WorkerStart,
  WorkerWord,
} from './messages.ts';

export interface WorkerThreadOptions {
  readonly start: WorkerStart;
  /** Whole lines of its log. */
  readonly onLines: (lines: string) => void;
  /** It is about to call an upstream for the first time. */
  readonly onFetching: (worker: WorkerThread) => void;
}

/** As `LOOKS` of the pool: a process that was held up as a whole goes on with one look that is late, and with the answer behind it. */
const TURN_LOOKS = 5;

/** How a worker ended. */
export interface WorkerEnd {
  /** What it died of; `undefined` where it was ended from here. */
  readonly error: Error | undefined;
}

interface Pending {
  readonly resolve: (value: never) => void;
  readonly reject: (error: Error) => void;
}

/** A worker, seen from the coordinator. */
export class WorkerThread {
  readonly place: number;
  /** Resolves when it serves; rejects where it cannot. */
  readonly listening: Promise<readonly BoundListener[]>;
  /** Resolves when the thread is gone, however it went. */
  readonly ended: Promise<WorkerEnd>;
  /** As it last told; it tells when it is asked, when it ends by a bug, and otherwise every second. */
  numbers: WorkerNumbers | undefined = undefined;
  /** Looks of the pool since it last said anything. */
  silentLooks = 0;
  /** It is ended because it said nothing. */
  isStuck = false;
  readonly #worker: Worker;
  readonly #options: WorkerThreadOptions;
  readonly #backlog: LineBacklog;
  readonly #heard: Heard;
  readonly #pending = new Map<number, Pending>();
  readonly #listening = Promise.withResolvers<readonly BoundListener[]>();
  #lastId = 0;
  #turn: Promise<boolean> | undefined = undefined;
  #gone = false;

  constructor(options: WorkerThreadOptions) {
    this.#options = options;
    this.place = options.start.place;
    this.listening = this.#listening.promise;
    // Whoever waits for it hears of it as a rejection; that nobody does is no error.
    this.listening.catch(() => undefined);
    const lineWords = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
    this.#backlog = new LineBacklog(lineWords);
    const heardWords = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
    this.#heard = new Heard(heardWords);
    const workerData: WorkerGround = { ...options.start, lineWords, heardWords };
    this.#worker = new Worker(workerFile, { workerData, resourceLimits });
    this.#worker.on('message', (word: WorkerWord<never>) => this.#hear(word));
    let error: Error | undefined;
    this.#worker.on('error', (thrown: unknown) => {
      error = thrown instanceof Error ? thrown : new Error(String(thrown));
    });
    this.ended = new Promise((resolve) => {
      this.#worker.once('exit', () => {
        this.#left(error);
        resolve({ error });
      });
    });
  }

  /** Rejects where the worker fails at it, or ends before it has answered. */
  call<Name extends CallName>(name: Name, input: WorkerCalls[Name]['input']): Promise<WorkerCalls[Name]['output']> {
    if (this.#gone) return Promise.reject(new Error(ended));
    this.#lastId += 1;
    const call: Call<Name> = { id: this.#lastId, name, input };
    const { promise, resolve, reject } = Promise.withResolvers<WorkerCalls[Name]['output']>();
    // The other end is code of the same build: its answers have the types of the calls.
    this.#pending.set(call.id, { resolve, reject });
    this.#worker.postMessage(call);
    return promise;
  }

  /** Has it tell its numbers. Rejects as {@link call} does. */
  async askNumbers(asked: NumbersCall): Promise<void> {
    this.#told(await this.call('numbers', asked));
  }

  /**
   * Whether its event loop has a turn within so many milliseconds. Whoever asks while an answer is owed has the same one: a worker
   * that is stuck is waited for once, not by each who asks.
   */
  hasTurn(clock: Pick<Clock, 'after'>, patienceMs: number): Promise<boolean> {
    this.#turn ??= this.#askForTurn(clock, patienceMs);
    return this.#turn;
  }

  #askForTurn(clock: Pick<Clock, 'after'>, patienceMs: number): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    let cancel: (() => void) | undefined;
    const look = (left: number): void => {
      if (left === 0) return resolve(false);
      cancel = clock.after(patienceMs / TURN_LOOKS, () => look(left - 1));
    };
    const end = (has: boolean): void => {
      cancel?.();
      this.#turn = undefined;
      resolve(has);
    };
    this.call('turn', undefined).then(
      () => end(true),
      () => end(false),
    );
    look(TURN_LOOKS);
    return promise;
  }

  /** At once, in the middle of whatever it does. */
  async end(): Promise<void> {
    await this.#worker.terminate();
    await this.ended;
  }

  #hear(word: WorkerWord<never>): void {
    this.silentLooks = 0;
    switch (word.kind) {
      case 'listening':
        return this.#listening.resolve(word.listeners);
      case 'failed':
        return this.#listening.reject(new Error(word.message));
      case 'lines':
        this.#options.onLines(word.lines);
        return this.#backlog.written(word.lines.length);
      case 'fetching':
        return this.#options.onFetching(this);
      case 'counted':
        this.#heard.heard();
        return this.#told(word.numbers);
      case 'answer':
        this.#pending.get(word.id)?.resolve(word.value);
        return void this.#pending.delete(word.id);
      case 'refusal':
        this.#pending.get(word.id)?.reject(new Error(word.message));
        return void this.#pending.delete(word.id);
    }
  }

  /** Those of the thread are as they were when they were asked for. */
  #told(numbers: WorkerNumbers): void {
    this.numbers = { ...numbers, thread: numbers.thread ?? this.numbers?.thread };
  }

  #left(error: Error | undefined): void {
    this.#gone = true;
    this.#listening.reject(error ?? new Error(ended));
    for (const { reject } of this.#pending.values()) reject(new Error(ended));
    this.#pending.clear();
  }
}

/**
 * V8 lets the young generation of a thread grow to 48 MiB and more in a flood of misses, nearly all of it garbage: two workers
 * took 517 MiB with 127 in their tiers, and take 325 with this. A main thread is told so by a flag, which is the whole process's.
 */
const resourceLimits = { maxYoungGenerationSizeMb: 3 };

const ended = 'the worker has ended';

/** Beside this file, as source or as built. */
const workerFile = new URL(import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js', import.meta.url);
