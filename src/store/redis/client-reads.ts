import { Cluster, type Redis } from 'ioredis';

import { GetGroup, type GroupOwner } from './client-group.ts';
import type { ReplyHearer } from './link.ts';

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
  readonly #owner: GroupOwner;
  /** In the order in which they were sent; what has ended leaves it as soon as none before it waits. */
  readonly #waiting: GetGroup[] = [];
  #timer: NodeJS.Timeout | undefined = undefined;
  #held: GetGroup | undefined = undefined;

  constructor(limits: ReadLimits) {
    this.#limits = limits;
    this.#owner = { explain: limits.explain, ended: () => this.#leave() };
  }

  get(client: Redis | Cluster, key: string): Promise<Buffer | null> {
    return new Promise((resolve, reject) => {
      this.tell(client, key, { replied: resolve, failed: reject });
    });
  }

  /**
   * Before another command is sent on the connection, whoever sends it, {@link flushReadsOf} is called, so that all keep the order in
   * which they were asked for. Of a cluster, whose client picks the connection itself, and sends a command again where that was
   * the wrong one, each is sent at once.
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
    this.#holding(client).add(key, hearer);
  }

  /** Sends what is held back. */
  flush(): void {
    const held = this.#held;
    if (held === undefined) return;
    this.#held = undefined;
    this.#waiting.push(held);
    if (this.#timer === undefined) this.#lookAfter(this.#limits.timeoutMs);
    held.send();
  }

  /** This turn's reads of the connection. */
  #holding(client: Redis): GetGroup {
    if (this.#held?.destination.redis === client) return this.#held;
    this.flush();
    this.#held = new GetGroup(client, this.#owner);
    holders.set(client, this);
    // After what this turn has read from its sockets: all the requests that came together.
    setImmediate(() => this.flush());
    return this.#held;
  }

  #leave(): void {
    const waiting = this.#waiting;
    while (waiting[0]?.isSettled === true) waiting.shift();
  }

  #lookAfter(delayMs: number): void {
    // Whoever was told of a read in `#look` may have sent others.
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#look(), delayMs).unref();
  }

  #look(): void {
    this.#timer = undefined;
    const nowMs = performance.now();
    for (let first = this.#waiting[0]; first !== undefined; first = this.#waiting[0]) {
      const dueMs = first.sinceMs + this.#limits.timeoutMs;
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
