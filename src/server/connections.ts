/** What is under way on each client connection; nothing is kept of one that is gone. */
export class Connections {
  readonly #owed = new WeakMap<object, number>();
  readonly #count = new WeakMap<object, number>();
  readonly #ending = new WeakSet<object>();

  /** A request came whose response is owed until {@link settle}. Tells how many came so far. */
  owe(socket: object): number {
    const count = (this.#count.get(socket) ?? 0) + 1;
    this.#count.set(socket, count);
    this.#owed.set(socket, (this.#owed.get(socket) ?? 0) + 1);
    return count;
  }

  settle(socket: object): void {
    this.#owed.set(socket, (this.#owed.get(socket) ?? 0) - 1);
  }

  /** True while a response is owed. */
  owes(socket: object): boolean {
    return (this.#owed.get(socket) ?? 0) > 0;
  }

  /** A response says that it is the last one. */
  announceLast(socket: object): void {
    this.#ending.add(socket);
  }

  /**
   * True where nothing more may be processed (RFC 9112 §9.6). What follows a request that was refused for its form may
   * be no request at all, and `node:http` reads on.
   */
  isEnding(socket: object): boolean {
    return this.#ending.has(socket);
  }
}
