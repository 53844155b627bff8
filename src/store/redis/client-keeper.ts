import type { Cluster, Redis } from 'ioredis';
import { openDoor } from './client-guard.ts';
import { reconnectDelayMs } from './client-options.ts';
import type { RedisFailure } from './link.ts';
import { barringFailure, describeTrouble, isOfDatabase } from './redis-errors.ts';

export type Client = Redis | Cluster;

/** Longer than any honest step of connecting, and short enough for service to be back within 2 s of Redis' return. */
const stuckMs = 1500;

/** Troubles may differ by a port each time. */
const maxTold = 20;

/**
 * A client that connects again, for good. The library's own does not always: a Sentinel client can reach its `end` where a
 * fail-over is noticed while it connects, and a cluster client can wait for ever for nodes that are gone. One that has ended,
 * or made no step for {@link stuckMs}, is replaced.
 */
export class Keeper {
  readonly #make: (onUsable: () => void) => Client;
  readonly #onError: (message: string) => void;
  readonly #ready: (() => void)[] = [];
  readonly #watch: NodeJS.Timeout;
  #client: Client;
  #closing = false;
  #hasToldOfDoor = false;
  readonly #told = new Set<string>();
  #movedAt = performance.now();
  #barring: RedisFailure | undefined;
  #replacement: NodeJS.Timeout | undefined;

  /** What `make` makes of a cluster calls back itself, since a cluster is usable when its nodes are. */
  constructor(make: (onUsable: () => void) => Client, onError: (message: string) => void) {
    this.#make = make;
    this.#onError = onError;
    this.#client = this.#start();
    this.#watch = setInterval(() => {
      if (!this.isReady && performance.now() - this.#movedAt > stuckMs) this.#replaceSoon();
    }, 250).unref();
  }

  /** The client of now; another one later. */
  get client(): Client {
    return this.#client;
  }

  get isReady(): boolean {
    return this.#client.status === 'ready';
  }

  /** Why there is no connection, where Redis said so itself; commands that could not be sent fail for this reason. */
  get barring(): RedisFailure | undefined {
    return this.isReady ? undefined : this.#barring;
  }

  /** Calls back each time that the connection has become usable. */
  onReady(callback: () => void): void {
    this.#ready.push(callback);
  }

  /** Closes within 150 ms, whatever the other side does. */
  async close(): Promise<void> {
    this.#closing = true;
    clearInterval(this.#watch);
    clearTimeout(this.#replacement);
    await ended(this.#client);
  }

  #start(): Client {
    const isOurs = (): boolean => client === this.#client && !this.#closing;
    const tell = (): void => {
      if (!isOurs()) return;
      for (const callback of this.#ready) callback();
    };
    const client = this.#make(tell);
    client.on('error', (error: Error) => {
      if (!isOurs()) return;
      if (isOfDatabase(error)) client.disconnect(true);
      const trouble = describeTrouble(error);
      if (trouble === undefined) return;
      this.#barring = barringFailure(error);
      this.#report(trouble);
    });
    client.on(openDoor, () => {
      // It is so with each connection, and no trouble that is over once there is one.
      if (!isOurs() || this.#hasToldOfDoor) return;
      this.#hasToldOfDoor = true;
      this.#report('Redis asks for no password, though one is configured');
    });
    for (const event of ['connecting', 'connect', 'close', 'reconnecting']) {
      client.on(event, () => {
        if (isOurs()) this.#movedAt = performance.now();
      });
    }
    client.on('ready', () => {
      if (!isOurs()) return;
      this.#movedAt = performance.now();
      this.#told.clear();
      this.#barring = undefined;
      if (!client.isCluster) tell();
    });
    client.on('end', () => {
      if (isOurs()) this.#replaceSoon();
    });
    return client;
  }

  /** The same trouble is said once until there is a connection again, not at every attempt. */
  #report(trouble: string): void {
    if (this.#told.has(trouble) || this.#told.size >= maxTold) return;
    this.#told.add(trouble);
    this.#onError(trouble);
  }

  #replaceSoon(): void {
    this.#replacement ??= setTimeout(() => {
      this.#replacement = undefined;
      if (!this.isReady) this.#replace();
    }, reconnectDelayMs(1)).unref();
  }

  /** What is thrown here would end the process, and what cannot be made now may be made later. */
  #replace(): void {
    const old = this.#client;
    this.#movedAt = performance.now();
    try {
      this.#client = this.#start();
    } catch (error) {
      this.#report(describeTrouble(error) ?? 'no client could be made');
      this.#replaceSoon();
      return;
    }
    old.disconnect();
  }
}

/** A client that waits for its next attempt has nothing open, and never says `end`. */
async function ended(client: Client): Promise<void> {
  const isOpen = client.status !== 'end' && client.status !== 'reconnecting';
  const end = Promise.withResolvers<void>();
  client.once('end', () => end.resolve());
  client.disconnect();
  if (!isOpen) return;
  const timer = setTimeout(() => end.resolve(), 150);
  await end.promise;
  clearTimeout(timer);
}
