import { Cluster, Command, type Redis } from 'ioredis';

/** Connections whose commands of this turn of the event loop are held together. */
const held = new WeakSet<object>();

/** Reads of one link. */
export interface ReadLimits {
  /** A read that has no reply for this long is rejected, as any command is by the library's `commandTimeout`. */
  readonly timeoutMs: number;
  /** What a read is rejected with, for what the library rejects it with. */
  readonly explain: (error: unknown) => Error;
}

/** GET of one link, in one write to the socket with all else that is sent on the connection in this turn of the event loop. */
export class Reads {
  readonly #limits: ReadLimits;
  /** In the order in which they were sent; those that are settled leave it with the next one. */
  readonly #waiting: { readonly command: Get; readonly dueMs: number }[] = [];
  #timer: NodeJS.Timeout | undefined = undefined;

  constructor(limits: ReadLimits) {
    this.#limits = limits;
  }

  /**
   * A write for each was the dearest part of a read (a system call of 5 to 10 microseconds). Commands keep their order. Of a
   * cluster, whose client picks the connection itself, and sends a command again where that was the wrong one, each is sent at once.
   */
  get(client: Redis | Cluster, key: string): Promise<Buffer | null> {
    const { explain } = this.#limits;
    if (client instanceof Cluster) {
      return client.getBuffer(key).catch((error: unknown) => {
        throw explain(error);
      });
    }
    holdTogether(client.stream);
    const command = new Get(key, explain);
    this.#watch(command);
    client.sendCommand(command);
    return command.promise;
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

/** There is no stream before the first attempt to connect, and one that is closed takes no harm. */
function holdTogether(stream: Redis['stream'] | undefined): void {
  if (stream === undefined || held.has(stream)) return;
  held.add(stream);
  stream.cork();
  // After what this turn has read from its sockets: all the requests that came together.
  setImmediate(() => {
    held.delete(stream);
    stream.uncork();
  });
}
