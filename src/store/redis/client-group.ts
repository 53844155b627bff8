import { Command, type Redis, ReplyError } from 'ioredis';

import type { ReplyHearer } from './link.ts';

type Item = Parameters<Redis['commandQueue']['push']>[0];

/** Who asks for groups. */
export interface GroupOwner {
  /** What a read is rejected with, for what the library rejects it with. */
  readonly explain: (error: unknown) => Error;
  /** Nobody waits for a reply of one of them any more. */
  readonly ended: () => void;
}

/**
 * `GET` of several keys in one write, as one command of the library that has a reply for each: what the library does for a
 * command, the most of what it takes for a read, is done once for all. After each reply but the last it goes back to the head of
 * what waits for one, as a `SUBSCRIBE` to several channels does in the library itself.
 *
 * To the library it is the stream of a pipeline too, which that writes to in the place of the socket.
 */
export class GetGroup extends Command {
  readonly isPipeline = true;
  readonly destination: { readonly redis: Redis };
  /** When it was sent. Monotonic, milliseconds. */
  sinceMs = 0;
  readonly #owner: GroupOwner;
  /** What the library waits for a reply with. It would choose this database if it sent a command again, which none is. */
  readonly #item: Item = { command: this, stream: this, select: 0 };
  readonly #keys: string[] = [];
  /** All of them are as long. */
  #isEven = true;
  #hearers: ReplyHearer<Buffer | null>[] = [];
  #replies = 0;
  /** The library is being given it, and may refuse it at once. */
  #isSending = false;

  constructor(redis: Redis, owner: GroupOwner) {
    super('get', [''], { replyEncoding: null });
    this.destination = { redis };
    this.#owner = owner;
    // Nobody traces what has no promise.
    this.isTraced = true;
    this.resolve = (value: Buffer | null) => this.#next()?.replied(value);
    this.reject = (error) => {
      const failure = owner.explain(error);
      // Of one of the keys; all else is the end of all: refused, timed out, or the connection is gone.
      if (error instanceof ReplyError) this.#next()?.failed(failure);
      else this.#failAll(failure);
    };
  }

  add(key: string, hearer: ReplyHearer<Buffer | null>): void {
    const keys = this.#keys;
    this.#isEven &&= key.length === (keys[0] ?? key).length;
    keys.push(key);
    this.#hearers.push(hearer);
  }

  send(): void {
    // What this process did since it was asked is no silence of Redis.
    this.sinceMs = performance.now();
    this.#isSending = true;
    this.destination.redis.sendCommand(this, this);
    this.#isSending = false;
  }

  /** Of all at once. A character of a key is a byte: names are ASCII (`keys.ts`), and written at half the cost when that is said. */
  write(text: string | Buffer): void {
    this.destination.redis.stream.write(text, 'latin1');
  }

  /**
   * Joined once, of texts that are there: of a text that is put together V8 makes a tree of pieces, which takes three times as long to be
   * written as one that is flat.
   */
  override toWritable(): string {
    const keys = this.#keys;
    if (!this.#isEven) return keys.map((key) => `${headFor(key.length)}${key}\r\n`).join('');
    const head = headFor(keys[0]?.length ?? 0);
    return `${head}${keys.join(`\r\n${head}`)}\r\n`;
  }

  /** The library would make a timer for each; whoever asks for groups has one for all. */
  override setTimeout(): void {
    // As said above.
  }

  /** Who is to hear the reply that has come; `undefined`: was told before that none came in time. */
  #next(): ReplyHearer<Buffer | null> | undefined {
    const hearer = this.#hearers[this.#replies];
    this.#replies += 1;
    if (this.#replies < this.#keys.length) this.destination.redis.commandQueue.unshift(this.#item);
    else this.#end();
    return hearer;
  }

  #failAll(failure: Error): void {
    const hearers = this.#hearers.slice(this.#replies);
    this.#hearers = [];
    this.#end();
    const tell = (): void => {
      for (const hearer of hearers) hearer.failed(failure);
    };
    if (this.#isSending) queueMicrotask(tell);
    else tell();
  }

  #end(): void {
    this.isResolved = true;
    this.isSettled = true;
    this.#owner.ended();
  }
}

let lastHead = { length: -1, text: '' };

/** What is before the key in a command: names are all of one length, nearly. */
function headFor(length: number): string {
  if (length !== lastHead.length) lastHead = { length, text: `*2\r\n$3\r\nget\r\n$${length}\r\n` };
  return lastHead.text;
}
