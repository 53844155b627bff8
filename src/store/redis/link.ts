import type { RedisFailureKind } from '../../cache/fleet-ports.ts';

/** A Lua script that runs by its digest. All keys of one call are in one slot. */
export interface RedisScript {
  /** Unique; a word of letters. */
  readonly name: string;
  readonly keys: number;
  readonly lua: string;
  /** How strings in replies come: as text (UTF-8) or as bytes, which may be views into a socket's chunk. */
  readonly reply: 'text' | 'bytes';
}

/**
 * Hears how one command ended: one of the two, once, and never in the step in which it was sent. Must not throw, nor read again in the
 * same step.
 */
export interface ReplyHearer<T> {
  replied(value: T): void;
  /** {@link RedisFailure}; anything else is a bug. */
  failed(error: unknown): void;
}

/**
 * One connection (on a cluster one to each node), with no queue for bad times: what cannot be sent now is rejected now, nothing
 * is sent twice. Commands of one slot are carried out in the order in which they were given. Rejects with {@link RedisFailure}.
 */
export interface RedisLink {
  /** False where a command would be rejected unsent: as `closed`, or as what Redis said at the door (`auth`). */
  readonly isReady: boolean;
  /** Names the node of a cluster that serves the key, where that is known: a node that is down must not count against others. */
  nodeOf?(key: string): string | undefined;
  /** Of a name of {@link RedisKeys}. A view into a socket's chunk: copy what is kept. */
  get(key: string): Promise<Buffer | null>;
  /** As {@link get} without its promise, which each answer from Redis would pay for; absent where nothing is saved by it. */
  tellOf?(key: string, hearer: ReplyHearer<Buffer | null>): void;
  unlink(key: string): Promise<void>;
  run(script: RedisScript, keys: readonly string[], args: readonly (string | number | Buffer)[]): Promise<unknown>;
  /** Calls back each time that the connection has become usable, the first included. */
  onReady(callback: () => void): void;
}

/** What is known of replicas is of one connection to their master: another may lead to another master. */
export interface ControlLink extends RedisLink {
  /** Names the connection on which commands on the key are sent now; `undefined`: there is none that is ready. */
  connectionOf(key: string): object | undefined;
  /**
   * How many replicas have all that was written on this connection before. Rejects as `closed` where commands on the key are
   * sent on another one by now. What is sent behind it on the same connection waits with it.
   */
  wait(key: string, wait: ReplicaWait): Promise<number>;
}

export interface ReplicaWait {
  readonly connection: object;
  /** It is answered as soon as there are so many. */
  readonly replicas: number;
  /** After so long it is answered with fewer. Cut to what leaves room for other commands. */
  readonly timeoutMs: number;
}

/** Asks for the key in the cheaper of the two ways; `undefined`: the hearer is told. */
export function readOf(
  link: RedisLink,
  key: string,
  hearer: ReplyHearer<Buffer | null>,
): Promise<Buffer | null> | undefined {
  if (link.tellOf === undefined) return link.get(key);
  link.tellOf(key, hearer);
  return undefined;
}

/** A connection that hears a channel, again after each reconnection; what is said meanwhile is lost. */
export interface RedisBell {
  onRing(callback: (message: string) => void): void;
}

/** All that a process has to do with Redis. Disposing of it closes everything; nothing is rejected unheard. */
export interface RedisLinks extends AsyncDisposable {
  /** Stored responses, locks: replies of megabytes. */
  readonly data: RedisLink;
  /** The purge log, counters, jobs: never behind a large reply. */
  readonly control: ControlLink;
  readonly bell: RedisBell;
}

/** A command that failed, or was not sent. The message holds no credential, key, or value. */
export class RedisFailure extends Error {
  readonly kind: RedisFailureKind;
  /** Nothing of the command was given to a connection. */
  readonly isUnsent: boolean;
  constructor(kind: RedisFailureKind, message: string, { isUnsent = false } = {}) {
    super(message);
    this.name = 'RedisFailure';
    this.kind = kind;
    this.isUnsent = isUnsent;
  }
}
