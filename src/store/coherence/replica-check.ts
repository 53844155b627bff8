import { type ControlLink, RedisFailure } from '../redis/link.ts';

/** A replica that keeps up confirms within a round trip. */
const longestWaitMs = 500;

export interface ReplicaCheckParts {
  readonly link: Pick<ControlLink, 'connectionOf' | 'wait'>;
  /** The control key. */
  readonly key: string;
  /** That have to confirm; 0: nothing is asked. */
  readonly replicas: number;
}

interface Wait {
  readonly connection: object;
  readonly confirmed: Promise<number>;
}

/**
 * Makes sure that what was appended is known to replicas: a master that has been replaced takes them for present for some
 * seconds more, and appends to a log that nobody reads. One question is under way, since it holds up what is sent behind it;
 * all that comes meanwhile is the next.
 */
export class ReplicaCheck {
  readonly #parts: ReplicaCheckParts;
  #next: Wait | undefined;
  #underWay: Promise<unknown> = Promise.resolve();

  constructor(parts: ReplicaCheckParts) {
    this.#parts = parts;
  }

  /** To be called right before the append is sent. Rejects or returns like `confirm` what is then asked. */
  begin(): () => Promise<void> {
    const { link, key, replicas } = this.#parts;
    if (replicas === 0) return async () => {};
    const connection = link.connectionOf(key);
    return () => this.#confirm(connection);
  }

  async #confirm(connection: object | undefined): Promise<void> {
    if (connection === undefined) throw new RedisFailure('closed', 'There was no connection to Redis');
    if (this.#next?.connection !== connection) this.#next = { connection, confirmed: this.#ask(connection) };
    const confirmed = await this.#next.confirmed;
    const { replicas } = this.#parts;
    if (confirmed >= replicas) return;
    throw new RedisFailure('noreplicas', `${confirmed} of ${replicas} replicas have confirmed the purge`);
  }

  async #ask(connection: object): Promise<number> {
    // Whether that one was answered is the affair of those who asked it.
    await Promise.allSettled([this.#underWay]);
    if (this.#next?.connection === connection) this.#next = undefined;
    const { link, key, replicas } = this.#parts;
    const confirmed = link.wait(key, { connection, replicas, timeoutMs: longestWaitMs });
    this.#underWay = confirmed;
    return confirmed;
  }
}
