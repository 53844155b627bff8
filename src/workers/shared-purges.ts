import { randomUUID } from 'node:crypto';
import * as threads from 'node:worker_threads';

import type { PurgeReceipt, PurgeRequest } from '../cache/ports.ts';
import type { Result } from '../core/problem.ts';
import type { Position } from '../core/stored-response.ts';
import type { LocalPurgeLog } from '../store/local-purge-log.ts';
import type { PurgeEvent, PurgeFollower, TrackedPurgeLog } from '../store/purge-follower.ts';
import type { PurgeableItem } from '../store/purge-table.ts';

declare module 'node:worker_threads' {
  /** Takes a BroadcastChannel too since Node 15.4; the types do not say so. */
  function receiveMessageOnPort(port: BroadcastChannel): { readonly message: unknown } | undefined;
}

/** By which the threads of a process hear of each other's purges: plain data, handed to each thread when it starts. */
export interface PurgeWire {
  readonly channel: string;
  /** Word 0 counts all purges that were announced; the word behind each place, those of the thread that has that place. */
  readonly words: SharedArrayBuffer;
  /** Threads: places are from 0 up to but not this. */
  readonly places: number;
}

/** `places`: threads that may purge, at most. */
export function createPurgeWire(places: number): PurgeWire {
  const words = new SharedArrayBuffer((1 + places) * Int32Array.BYTES_PER_ELEMENT);
  // Two apps in one process must not hear each other.
  return { channel: `forecache-purges-${randomUUID()}`, words, places };
}

export interface SharedPurgesOptions {
  readonly wire: PurgeWire;
  /** Of this thread, and of no other that lives. */
  readonly place: number;
  /** The log of this thread; purges of the others are appended to it. */
  readonly log: LocalPurgeLog;
  /** A purge was announced and did not come, so everything was purged here. Never seen; the guarantee does not rest on that. */
  readonly onLost: () => void;
}

/** The log of this thread as one with those of the others, until it is disposed. See docs/workers.md for why it holds. */
export function joinPurges(options: SharedPurgesOptions): SharedPurgeLog {
  return new SharedPurgeLog(options);
}

/** One purge, on its way to all other threads. */
interface Announcement extends PurgeRequest {
  readonly place: number;
  /** Counted by the thread that announces it. */
  readonly number: number;
}

/**
 * Purges travel as messages, which the event loop would deliver some time later; that there is one is told in shared memory,
 * behind the message and before the append returns. Whoever reads looks there first, and takes the messages himself where
 * there is news: no read that begins behind a purge's return can miss it, whatever the event loop of its thread is doing,
 * and nobody waits for anybody's acknowledgement.
 */
export class SharedPurgeLog implements TrackedPurgeLog, Disposable {
  readonly #log: LocalPurgeLog;
  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #place: number;
  readonly #places: number;
  readonly #channel: threads.BroadcastChannel;
  readonly #onLost: () => void;
  /** What word 0 said when this thread last looked. */
  #seen: number;
  /** By place: the last announcement that came. */
  readonly #heard: number[];
  #number: number;

  constructor({ wire, place, log, onLost }: SharedPurgesOptions) {
    this.#log = log;
    this.#words = new Int32Array(wire.words);
    this.#place = place;
    this.#places = wire.places;
    this.#onLost = onLost;
    this.#channel = new threads.BroadcastChannel(wire.channel);
    // In this order: what is announced from here on is in the channel and shows in the words. What was announced before is
    // of no concern, since nothing is stored yet and no fetch has begun.
    this.#channel.addEventListener('message', (event: unknown) => this.#take(dataOf(event)));
    this.#channel.unref();
    this.#seen = Atomics.load(this.#words, 0);
    this.#heard = Array.from({ length: wire.places }, (_none, other) => this.#announced(other));
    // A thread that died here may have sent one more than it announced: that number is never used again.
    this.#number = this.#announced(place) + 1;
  }

  get version(): number {
    return this.#log.version;
  }

  position(): Position {
    this.catchUp();
    return this.#log.position();
  }

  isValid(item: PurgeableItem): boolean {
    this.catchUp();
    return this.#log.isValid(item);
  }

  isPurged(item: PurgeableItem): boolean {
    return this.#log.isPurged(item);
  }

  softPurgedAtMs(item: PurgeableItem): number | undefined {
    return this.#log.softPurgedAtMs(item);
  }

  inEffect(scopes: readonly string[]): readonly string[] {
    return this.#log.inEffect(scopes);
  }

  /** In force in every thread when its promise resolves. Rejects with RangeError for what is no scope. */
  async append({ scopes, soft }: PurgeRequest): Promise<Result<PurgeReceipt>> {
    const receipt = await this.#log.append({ scopes, soft });
    this.#number = (this.#number + 1) | 0;
    const announcement: Announcement = { place: this.#place, number: this.#number, scopes, soft };
    this.#channel.postMessage(announcement);
    // Only now, and in this order: who sees word 0 grow must find the message, and know that he should.
    Atomics.store(this.#words, 1 + this.#place, this.#number);
    Atomics.add(this.#words, 0, 1);
    return receipt;
  }

  follow(hear: (event: PurgeEvent) => void): PurgeFollower {
    return this.#log.follow(hear);
  }

  catchUp(): void {
    const announced = Atomics.load(this.#words, 0);
    if (announced !== this.#seen) this.#takeAll(announced);
  }

  [Symbol.dispose](): void {
    this.#channel.close();
  }

  #takeAll(announced: number): void {
    const numbers = Array.from({ length: this.#places }, (_none, place) => this.#announced(place));
    for (;;) {
      const received = threads.receiveMessageOnPort(this.#channel);
      if (received === undefined) break;
      this.#take(received.message);
    }
    for (const [place, number] of numbers.entries()) {
      // Numbers wrap around after 2^32 purges.
      if (place === this.#place || ((number - (this.#heard[place] ?? 0)) | 0) <= 0) continue;
      this.#heard[place] = number;
      void this.#log.append({ scopes: ['all'], soft: false });
      this.#onLost();
    }
    this.#seen = announced;
  }

  #take(message: unknown): void {
    if (!isAnnouncement(message)) return;
    this.#heard[message.place] = message.number;
    // It was taken by the log of whoever announced it: that it cannot be taken here is not to be.
    void this.#log.append({ scopes: message.scopes, soft: message.soft });
  }

  #announced(place: number): number {
    return Atomics.load(this.#words, 1 + place);
  }
}

function dataOf(event: unknown): unknown {
  return typeof event === 'object' && event !== null && 'data' in event ? event.data : undefined;
}

/** Only code of this process can send there; the rest is for the compiler. */
function isAnnouncement(message: unknown): message is Announcement {
  return typeof message === 'object' && message !== null && 'scopes' in message && 'number' in message;
}
