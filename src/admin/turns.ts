import type { IncomingMessage, ServerResponse } from 'node:http';

/** What is owed on a connection. */
interface Owed {
  answers: number;
  /** Resolves when the last of them has been sent, or never where the connection has closed. */
  last: Promise<void>;
}

/**
 * Requests of a connection are answered one after the other (RFC 9112 §9.3.2): a client that sends many at once and reads nothing
 * would have all of their answers made, and kept for it.
 */
export class Turns {
  readonly #most: number;
  readonly #owed = new WeakMap<object, Owed>();

  /** @param most answers that may be owed on a connection */
  constructor(most: number) {
    this.#most = most;
  }

  /** Resolves when it is to be answered; `undefined` where too many are owed already. */
  take({ socket }: Pick<IncomingMessage, 'socket'>, response: ServerResponse): Promise<void> | undefined {
    const owed = this.#owed.get(socket) ?? { answers: 0, last: Promise.resolve() };
    if (owed.answers === this.#most) return undefined;
    this.#owed.set(socket, owed);
    const { last } = owed;
    owed.answers += 1;
    owed.last = new Promise((resolve) => {
      response.once('close', () => {
        owed.answers -= 1;
        resolve();
      });
    });
    return last;
  }
}
