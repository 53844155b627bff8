import { Cluster, Command, type Redis } from 'ioredis';

type NetStream = Redis['stream'];

/** Reads of one link. */
export interface ReadLimits {
  /** A read that has no reply for this long is rejected, as any command is by the library's `commandTimeout`. */
  readonly timeoutMs: number;
  /** What a read is rejected with, for what the library rejects it with. */
  readonly explain: (error: unknown) => Error;
}

/**
 * GET of one link: those of one turn of the event loop in one write to the socket. A write for each was the dearest part of a
 * read (a system call of 5 to 10 microseconds), and to have the socket hold back each for itself (`cork`) a tenth of the rest.
 */
export class Reads {
  readonly #limits: ReadLimits;
  /** In the order in which they were sent; those that are settled leave it with the next one. */
  readonly #waiting: { readonly command: Get; readonly dueMs: number }[] = [];
  #timer: NodeJS.Timeout | undefined = undefined;
  #held: HeldReads | undefined = undefined;

  constructor(limits: ReadLimits) {
    this.#limits = limits;
  }

  /**
   * Before another command is sent on the connection, whoever sends it, {@link flushReadsOf} is called, so that all keep the order in
   * which they were asked for: the library expects replies in it. Of a cluster, whose client picks the connection itself, and
   * sends a command again where that was the wrong one, each is sent at once.
   */
  get(client: Redis | Cluster, key: string): Promise<Buffer | null> {
    const { explain } = this.#limits;
    if (client instanceof Cluster) {
      return client.getBuffer(key).catch((error: unknown) => {
        throw explain(error);
      });
    }
    const command = new Get(key, explain);
    this.#watch(command);
    client.sendCommand(command, this.#holding(client));
    return command.promise;
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

  #watch(command: Get): void {
    const waiting = this.#waiting;
    while (waiting[0]?.command.isSettled === true) waiting.shift();
    const { timeoutMs } = this.#limits;
    waiting.push({ command, dueMs: performance.now() + timeoutMs });
    if (this.#timer === undefined) this.#lookAfter(timeoutMs);
  }

  #lookAfter(delayMs: number): void {
    this.#timer = setTimeout(() => this.#look(), delayMs).unref();
  }

  #look(): void {
    this.#timer = undefined;
    const nowMs = performance.now();
    for (let first = this.#waiting[0]; first !== undefined; first = this.#waiting[0]) {
      if (!first.command.isSettled) {
        // Timers are early by a part of a millisecond now and then.
        if (first.dueMs > nowMs + 1) {
          this.#lookAfter(first.dueMs - nowMs);
          return;
        }
        first.command.reject(new Error('Command timed out'));
      }
      this.#waiting.shift();
    }
  }
}

/** Whose reads may be held back. */
const holders = new WeakMap<Redis, Reads>();

/** Sends the reads that are held back on the connection: another command, the library's own too, comes behind them. */
export function flushReadsOf(client: Redis): void {
  holders.get(client)?.flush();
}

/** Commands as text, for one write; to the library the stream of a pipeline, which it takes in the place of the socket. */
class HeldReads {
  readonly isPipeline = true;
  readonly destination: { readonly redis: Redis };
  readonly stream: NetStream;
  #text = '';

  constructor(redis: Redis, stream: NetStream) {
    this.destination = { redis };
    this.stream = stream;
  }

  write(command: string | Buffer): void {
    this.#text += command.toString();
  }

  /** On a connection that has gone meanwhile nothing is sent: the library has rejected what was waiting for it. */
  send(): void {
    if (this.#text !== '' && this.stream.writable) this.stream.write(this.#text);
  }
}

/** The library's GET, without what costs most of it. Whoever sends it sees to its time and awaits it. */
export class Get extends Command {
  declare promise: Promise<Buffer | null>;

  constructor(key: string, explain: ReadLimits['explain']) {
    super('get', [key], { replyEncoding: null });
    const { reject } = this;
    // Instead of a promise behind each.
    this.reject = (error) => reject(explain(error));
  }

  /**
   * The library would make a timer for each, and `delete` it from the command when that is answered, which makes a dictionary
   * of the object: as much garbage as all else of the command.
   */
  override setTimeout(): void {
    // {@link Reads} has one timer for all.
  }
}
