import { HeldReading, type Readable } from './held-reading.ts';

/** The place of a request among those of its connection. */
export interface Turn {
  /** May not run beside another: what it does may depend on those before it, and what they do on it. */
  readonly alone: boolean;
  /** False while it waits for those before it. */
  running: boolean;
  /** Called when it need not wait any more. */
  start: (() => void) | undefined;
  /** What is to be sent, where {@link Connections.abandon} is to end it. */
  response: { destroy(): unknown } | undefined;
}

/** What is known of a connection. */
export interface Connection {
  /** Requests so far. */
  count: number;
  /** A response says, or will say, that it is the last one. */
  ending: boolean;
  /** Requests behind the last one that have been read, and are not looked at. */
  unheeded: number;
  /** Requests that run and whose response is owed. */
  running: number;
  /** Of them, those that may not run beside another. */
  runningAlone: number;
  /** Those behind them, in the order in which they came. */
  readonly waiting: Turn[];
  /** Those that came while a response before theirs was owed, running or not. */
  behind: Set<Turn> | undefined;
  /** Nothing is read of it for now. */
  held: HeldReading | undefined;
  /** That the parser has told of last, while a response is owed. */
  last: { readonly complete: boolean } | undefined;
  /** Called when nothing is owed any more. */
  onSettled: (() => void) | undefined;
}

/** Requests of a connection that wait, or that stand behind its last one; with so many no more is read of it. What has been read by then, 64 KiB at most, is looked at. */
const MAX_WAITING = 64;

/** What is under way on each client connection; nothing is kept of one that is gone. */
export class Connections {
  readonly #known = new WeakMap<object, Connection>();
  readonly #mostAtOnce: number;

  /** @param mostAtOnce requests of one connection that run, 1 or more */
  constructor(mostAtOnce: number) {
    this.#mostAtOnce = mostAtOnce;
  }

  /**
   * A request came whose response is owed until {@link settle}. Pipelined requests run side by side only where all of
   * them are safe (RFC 9112 §9.3.2), and so many at once; the others wait for the responses before theirs.
   */
  owe(socket: object, alone: boolean): Turn {
    return this.oweOn(this.of(socket), alone);
  }

  /** As {@link owe}, on what {@link of} gives. */
  oweOn(connection: Connection, alone: boolean): Turn {
    connection.count += 1;
    const turn: Turn = { alone, running: false, start: undefined, response: undefined };
    if (connection.running + connection.waiting.length > 0) (connection.behind ??= new Set()).add(turn);
    if (connection.waiting.length === 0 && this.#mayRun(connection, turn)) run(connection, turn);
    else connection.waiting.push(turn);
    return turn;
  }

  /**
   * A request waits; true where as many run as may. Where many wait nothing more is read until fewer do, since each takes a hundred times
   * the memory of its bytes.
   */
  queued(connection: Connection, socket: Readable): boolean {
    if (connection.waiting.length >= MAX_WAITING) connection.held ??= new HeldReading(socket);
    return this.#isFull(connection);
  }

  /**
   * A request came behind the last one. Where many have nothing more is read until all that is owed has been answered: until then `node:http`
   * keeps each of them, and when the connection closes it takes time by the square of their number.
   */
  unheeded(connection: Connection, socket: Readable): void {
    connection.unheeded += 1;
    if (connection.unheeded < MAX_WAITING || connection.running + connection.waiting.length === 0) return;
    connection.held ??= new HeldReading(socket);
  }

  /** The response has ended, or never will be; starts what waited for it. */
  settle(socket: object, turn: Turn): void {
    this.settleOn(this.of(socket), turn);
  }

  /** As {@link settle}, on what {@link of} gives. */
  settleOn(connection: Connection, turn: Turn): void {
    const { waiting } = connection;
    connection.behind?.delete(turn);
    if (turn.running) {
      connection.running -= 1;
      if (turn.alone) connection.runningAlone -= 1;
    } else {
      waiting.splice(waiting.indexOf(turn), 1);
    }
    for (let [next] = waiting; next !== undefined && this.#mayRun(connection, next); [next] = waiting) {
      waiting.shift();
      run(connection, next);
      next.start?.();
    }
    if (connection.running === 0) {
      connection.last = undefined;
      connection.onSettled?.();
    }
    const { held } = connection;
    // Behind the last one it is read on by whoever ends the connection.
    if (held === undefined || waiting.length >= MAX_WAITING || connection.unheeded >= MAX_WAITING) return;
    connection.held = undefined;
    held.release();
  }

  /** What has come of requests are whole ones: what does not come in time is none of theirs. */
  isWhole(socket: object): boolean {
    return this.#known.get(socket)?.last?.complete === true;
  }

  /** The rest of a head that has not come in time may be there, and is not read. */
  isHeld(socket: object): boolean {
    return this.#known.get(socket)?.held !== undefined;
  }

  /**
   * What came behind a whole request is none: the connection is to end when what is owed has been answered (RFC 9112 §9.6). False: it is
   * within a request, which will never be whole.
   */
  endBehind(socket: object, end: () => void): boolean {
    const connection = this.of(socket);
    if (connection.last?.complete !== true) return false;
    connection.ending = true;
    connection.onSettled = end;
    return true;
  }

  /**
   * The connection has closed, and `node:http` had let go of it: then it tells the response alone that had the connection, and
   * those behind it would be owed for ever.
   */
  abandon(socket: object): void {
    for (const { response } of this.#known.get(socket)?.behind ?? []) response?.destroy();
  }

  /** Requests that came on this connection so far. */
  count(socket: object): number {
    return this.#known.get(socket)?.count ?? 0;
  }

  /** True while a response is owed. */
  owes(socket: object): boolean {
    const connection = this.#known.get(socket);
    return connection !== undefined && connection.running + connection.waiting.length > 0;
  }

  /** A response says that it is the last one. */
  announceLast(socket: object): void {
    this.of(socket).ending = true;
  }

  /**
   * True where nothing more may be processed (RFC 9112 §9.6). What follows a request that was refused for its form may
   * be no request at all, and `node:http` reads on.
   */
  isEnding(socket: object): boolean {
    return this.#known.get(socket)?.ending ?? false;
  }

  /** Its client may be sending though the connection is to end: it was not the one to say so, or has not sent all. */
  maySend(socket: object): boolean {
    const known = this.#known.get(socket);
    return known !== undefined && (known.ending || known.last?.complete === false);
  }

  /** It is to be read on, whatever waits. */
  release(socket: object): void {
    const known = this.#known.get(socket);
    const held = known?.held;
    if (known === undefined || held === undefined) return;
    known.held = undefined;
    held.release();
  }

  /** What is known of it; the same object for as long as it lasts. Only its count is anyone else's to raise, with what is answered at once. */
  of(socket: object): Connection {
    const known = this.#known.get(socket);
    if (known !== undefined) return known;
    const connection: Connection = {
      count: 0,
      ending: false,
      unheeded: 0,
      running: 0,
      runningAlone: 0,
      waiting: [],
      behind: undefined,
      held: undefined,
      last: undefined,
      onSettled: undefined,
    };
    this.#known.set(socket, connection);
    return connection;
  }

  #mayRun(connection: Connection, { alone }: Turn): boolean {
    if (connection.running === 0) return true;
    return !alone && connection.runningAlone === 0 && !this.#isFull(connection);
  }

  #isFull({ running }: Connection): boolean {
    return running >= this.#mostAtOnce;
  }
}

function run(connection: Connection, turn: Turn): void {
  turn.running = true;
  connection.running += 1;
  if (turn.alone) connection.runningAlone += 1;
}
