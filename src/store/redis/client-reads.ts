import { Cluster, Command, type Redis } from 'ioredis';

import type { ReplyHearer } from './link.ts';

type NetStream = Redis['stream'];

/** Reads of one link. */
export interface ReadLimits {
  /** A read that has no reply for this long is rejected, as any command is by the library's `commandTimeout`. */
  readonly timeoutMs: number;
  /** What a read is rejected with, for what the library rejects it with. */
  readonly explain: (error: unknown) => Error;
}

/** Commands that are kept to be used again; more are under way at once only where Redis is slow. */
const maxSpare = 256;

/**
 * GET of one link: those of one turn of the event loop in one write to the socket. A write for each was the dearest part of a
 * read (a system call of 5 to 10 microseconds), and to have the socket hold back each for itself (`cork`) a tenth of the rest.
 */
export class Reads {
  readonly #limits: ReadLimits;
  /** In the order in which they were sent; what has ended leaves it as soon as none before it waits. */
  readonly #waiting: Get[] = [];
  /** Answered ones: to make a command takes longer than all else that is done for a read. */
  readonly #spare: Get[] = [];
  readonly #ended = (command: Get, isAnswered: boolean): void => this.#end(command, isAnswered);
  #timer: NodeJS.Timeout | undefined = undefined;
  #held: HeldReads | undefined = undefined;

  constructor(limits: ReadLimits) {
    this.#limits = limits;
  }

  get(client: Redis | Cluster, key: string): Promise<Buffer | null> {
    return new Promise((resolve, reject) => {
      this.tell(client, key, { replied: resolve, failed: reject });
    });
  }

  /**
   * Before another command is sent on the connection, whoever sends it, {@link flushReadsOf} is called, so that all keep the order in
   * which they were asked for: the library expects replies in it. Of a cluster, whose client picks the connection itself, and
   * sends a command again where that was the wrong one, each is sent at once.
   */
  tell(client: Redis | Cluster, key: string, hearer: ReplyHearer<Buffer | null>): void {
    const { explain } = this.#limits;
    if (client instanceof Cluster) {
      client.getBuffer(key).then(
        (value) => hearer.replied(value),
        (error: unknown) => hearer.failed(explain(error)),
      );
      return;
    }
    const command = this.#spare.pop() ?? new Get(explain, this.#ended);
    const held = this.#holding(client);
    command.begin(key, hearer, held !== undefined);
    this.#watch(command, held?.sending ?? { sinceMs: performance.now() });
    client.sendCommand(command, held);
    command.isSending = false;
  }

  /** Sends what is held back. */
  flush(): void {
    const held = this.#held;
    this.#held = undefined;
    held?.send();
  }

  /** Where this turn's reads go to; `undefined`: there was no attempt to connect yet, so that each is rejected at once. */
  #holding(client: Redis): HeldReads | undefined {
    const stream: NetStream | undefined = client.stream;
    if (this.#held?.stream === stream) return this.#held;
    this.flush();
    if (stream === undefined) return undefined;
    this.#held = new HeldReads(client, stream);
    holders.set(client, this);
    // After what this turn has read from its sockets: all the requests that came together.
    setImmediate(() => this.flush());
    return this.#held;
  }

  #watch(command: Get, sending: Sending): void {
    command.sending = sending;
    this.#waiting.push(command);
    if (this.#timer === undefined) this.#lookAfter(this.#limits.timeoutMs);
  }

  #end(command: Get, isAnswered: boolean): void {
    const waiting = this.#waiting;
    const isFirst = waiting[0] === command;
    while (waiting[0]?.isSettled === true) waiting.shift();
    // The library still knows one that failed, and one behind others is still watched here.
    if (isFirst && isAnswered && this.#spare.length < maxSpare) this.#spare.push(command);
  }

  #lookAfter(delayMs: number): void {
    this.#timer = setTimeout(() => this.#look(), delayMs).unref();
  }

  #look(): void {
    this.#timer = undefined;
    // What waits to be sent has all of its time from now on: timers may come before what sends it.
    this.flush();
    const nowMs = performance.now();
    for (let first = this.#waiting[0]; first !== undefined; first = this.#waiting[0]) {
      const dueMs = first.sending.sinceMs + this.#limits.timeoutMs;
      // Timers are early by a part of a millisecond now and then.
      if (dueMs > nowMs + 1) {
        this.#lookAfter(dueMs - nowMs);
        return;
      }
      // With which it leaves the list.
      first.reject(new Error('Command timed out'));
    }
  }
}

/** Whose reads may be held back. */
const holders = new WeakMap<Redis, Reads>();

/** Sends the reads that are held back on the connection: another command, the library's own too, comes behind them. */
export function flushReadsOf(client: Redis): void {
  holders.get(client)?.flush();
}

/** Of commands that are written together, which are due together too. */
interface Sending {
  /** When they were written; until then, when the first of them was asked for. Monotonic, milliseconds. */
  sinceMs: number;
}

const never: Sending = { sinceMs: 0 };

/** Reads of one turn, for one write; to the library the stream of a pipeline, which it takes in the place of the socket. */
class HeldReads {
  readonly isPipeline = true;
  readonly destination: { readonly redis: Redis };
  readonly stream: NetStream;
  readonly sending: Sending = { sinceMs: performance.now() };
  readonly #keys: string[] = [];
  /** All of them are as long. */
  #isEven = true;

  constructor(redis: Redis, stream: NetStream) {
    this.destination = { redis };
    this.stream = stream;
  }

  /** Of a {@link Get} that is held back: its key. */
  write(key: string | Buffer): void {
    const name = key.toString();
    this.#isEven &&= name.length === (this.#keys[0] ?? name).length;
    this.#keys.push(name);
  }

  /** On a connection that has gone meanwhile nothing is sent: the library has rejected what was waiting for it. */
  send(): void {
    if (this.#keys.length === 0 || !this.stream.writable) return;
    // What this process did in the meantime is no silence of Redis.
    this.sending.sinceMs = performance.now();
    // As the names in it are; written at half the cost when that is said.
    this.stream.write(this.#text(), 'latin1');
  }

  /**
   * Joined once, of texts that are there: of a text that is put together V8 makes a tree of pieces, which takes three times as long to be
   * written as one that is flat.
   */
  #text(): string {
    const keys = this.#keys;
    if (!this.#isEven) return keys.map((key) => textOf(key)).join('');
    const head = headFor(keys[0]?.length ?? 0);
    return `${head}${keys.join(`\r\n${head}`)}\r\n`;
  }
}

/**
 * The library's GET, without what costs most of it: a promise, and what is made anew for each. It is used again once its reply
 * has come.
 */
export class Get extends Command {
  /** With which it was sent. */
  sending = never;
  /** The library is being given it, and may refuse it at once. */
  isSending = false;
  /** By {@link HeldReads}, which makes the text of all. */
  #isHeld = false;
  readonly #explain: ReadLimits['explain'];
  readonly #ended: (command: Get, isAnswered: boolean) => void;
  #hearer: ReplyHearer<Buffer | null> | undefined = undefined;
  #key = '';

  constructor(explain: ReadLimits['explain'], ended: (command: Get, isAnswered: boolean) => void) {
    super('get', [''], { replyEncoding: null });
    this.#explain = explain;
    this.#ended = ended;
    // Nobody traces what has no promise.
    this.isTraced = true;
    this.resolve = (value: Buffer | null) => {
      const hearer = this.#settle();
      // Only now is it not among the commands that the library waits for.
      if (hearer !== undefined) this.#ended(this, true);
      hearer?.replied(value);
    };
    this.reject = (error) => {
      const hearer = this.#settle();
      if (hearer === undefined) return;
      this.#ended(this, false);
      const failure = this.#explain(error);
      if (this.isSending) queueMicrotask(() => hearer.failed(failure));
      else hearer.failed(failure);
    };
  }

  begin(key: string, hearer: ReplyHearer<Buffer | null>, isHeld: boolean): void {
    this.#isHeld = isHeld;
    this.args[0] = key;
    this.#key = key;
    this.#hearer = hearer;
    this.isResolved = false;
    this.isSettled = false;
    this.isSending = true;
  }

  /** A character of the key is a byte: names are ASCII (`keys.ts`). */
  override toWritable(): string {
    return this.#isHeld ? this.#key : textOf(this.#key);
  }

  /**
   * The library would make a timer for each, and `delete` it from the command when that is answered, which makes a dictionary
   * of the object: as much garbage as all else of the command.
   */
  override setTimeout(): void {
    // {@link Reads} has one timer for all.
  }

  /** Who is to hear of it; `undefined`: it has been told. */
  #settle(): ReplyHearer<Buffer | null> | undefined {
    const hearer = this.#hearer;
    this.#hearer = undefined;
    this.isResolved = true;
    this.isSettled = true;
    return hearer;
  }
}

function textOf(key: string): string {
  return `${headFor(key.length)}${key}\r\n`;
}

let lastHead = { length: -1, text: '' };

/** What is before the key in a command: names are all of one length, nearly. */
function headFor(length: number): string {
  if (length !== lastHead.length) lastHead = { length, text: `*2\r\n$3\r\nget\r\n$${length}\r\n` };
  return lastHead.text;
}
