import type { Socket } from 'node:net';

/** Of a keep-alive time: a connection is ended up to two ticks late. */
const TICKS = 64;

/** There are no more places than this and two, however long the time. */
const MOST_TICKS = 4096;

/** No more often than this, however short the time; no more seldom than this, however long. Milliseconds. */
const SHORTEST_TICK_MS = 5;
const LONGEST_TICK_MS = 1_000;

/**
 * Counts how long connections are idle whose keep-alive timeout the fast lane has taken over. A timeout of a socket is started
 * anew with each read and each write, which took 0.23 of the 7 microseconds of a hit; here a hit writes one number, and a connection is
 * looked at about once in its keep-alive time.
 *
 * Time is counted in ticks of real time: the timeout of a socket, in whose place this is, knows no other, and no clock has to be asked.
 * Ticks that come late are not caught up with, so that no connection ends early.
 */
export class IdleWheel {
  /** Raised by one each time that it has passed. */
  tick = 0;
  readonly tickMs: number;
  readonly keepAliveMs: number;
  /** Ticks after which a connection has been idle for long enough: it may have been active at the end of its tick. */
  readonly #ticks: number;
  /** By the tick at which they are looked at, round and round. */
  readonly #places: (IdleTimer | undefined)[];
  #size = 0;
  #interval: NodeJS.Timeout | undefined;

  /** `keepAliveMs`: 0 where connections are never ended for being idle. */
  constructor(keepAliveMs: number) {
    this.keepAliveMs = keepAliveMs;
    const tickMs = Math.min(LONGEST_TICK_MS, Math.max(SHORTEST_TICK_MS, Math.floor(keepAliveMs / TICKS)));
    this.tickMs = Math.max(tickMs, Math.ceil(keepAliveMs / MOST_TICKS));
    this.#ticks = Math.ceil(keepAliveMs / this.tickMs) + 1;
    this.#places = Array.from({ length: this.#ticks + 1 }, () => undefined);
  }

  /** Has it looked at when it has been idle for as long as it may be since it was last active. */
  add(timer: IdleTimer): void {
    const at = (timer.activeTick + this.#ticks) % this.#places.length;
    const first = this.#places[at];
    timer.next = first;
    timer.previous = undefined;
    if (first !== undefined) first.previous = timer;
    this.#places[at] = timer;
    timer.place = at;
    this.#size += 1;
    this.#interval ??= setInterval(() => this.#pass(), this.tickMs).unref();
  }

  remove(timer: IdleTimer): void {
    const { previous, next, place } = timer;
    if (place === undefined) return;
    if (previous === undefined) this.#places[place] = next;
    else previous.next = next;
    if (next !== undefined) next.previous = previous;
    timer.next = undefined;
    timer.previous = undefined;
    timer.place = undefined;
    this.#size -= 1;
    if (this.#size > 0) return;
    clearInterval(this.#interval);
    this.#interval = undefined;
  }

  #pass(): void {
    this.tick += 1;
    const at = this.tick % this.#places.length;
    // What is added anew meanwhile has another place: it was active at a later tick.
    for (let timer = this.#places[at]; timer !== undefined; timer = this.#places[at]) {
      this.remove(timer);
      if (timer.activeTick + this.#ticks > this.tick) timer.wait();
      else timer.end();
    }
  }
}

/** The keep-alive timeout of one connection, while its socket has none. */
export class IdleTimer {
  readonly #wheel: IdleWheel;
  readonly #socket: Socket;
  #isTaken = false;
  /** When something last came or was sent. */
  activeTick = 0;
  /** The wheel's: where it is there. */
  place: number | undefined = undefined;
  next: IdleTimer | undefined = undefined;
  previous: IdleTimer | undefined = undefined;

  constructor(wheel: IdleWheel, socket: Socket) {
    this.#wheel = wheel;
    this.#socket = socket;
    socket.once('close', () => this.drop());
  }

  /** Something has come, and was answered whole: nothing is owed. */
  touch(): void {
    this.activeTick = this.#wheel.tick;
    if (!this.#isTaken) this.#take();
  }

  /** The socket has its timeout again, as of now: for whatever `node:http` is told of. */
  giveBack(): void {
    if (!this.#isTaken) return;
    this.#isTaken = false;
    this.#socket.setTimeout(this.#wheel.keepAliveMs);
  }

  /** Another timeout was set, or none is needed any more. */
  drop(): void {
    this.#isTaken = false;
    this.#wheel.remove(this);
  }

  /** Of the wheel: it was active since. */
  wait(): void {
    if (this.#isTaken) this.#wheel.add(this);
  }

  /** Of the wheel: as the socket does it, whose timeout this is. */
  end(): void {
    if (!this.#isTaken) return;
    this.#isTaken = false;
    this.#socket.emit('timeout');
  }

  #take(): void {
    const { keepAliveMs } = this.#wheel;
    // Another one is not that of an idle connection: it stays.
    if (keepAliveMs === 0 || this.#socket.timeout !== keepAliveMs || this.#socket.destroyed) return;
    this.#socket.setTimeout(0);
    this.#isTaken = true;
    // It may be there from when it was last taken: it is looked at in time, or earlier.
    if (this.place === undefined) this.#wheel.add(this);
  }
}
