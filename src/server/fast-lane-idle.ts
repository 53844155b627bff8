import type { Socket } from 'node:net';

/** Of a keep-alive time: a connection is ended up to two ticks late. */
const TICKS = 64;

/** There are no more than twice as many places as this, and three, however long the time. */
const MOST_TICKS = 4096;

/** No more often than this, however short the time; no more seldom than this, however long. Milliseconds. */
const SHORTEST_TICK_MS = 5;
const LONGEST_TICK_MS = 1_000;

/**
 * Counts how long connections are idle whose keep-alive timeout the fast lane has taken over. A timeout of a socket is started
 * anew with each read and each write, which took 0.23 of the 7 microseconds of a hit; here a hit writes one number, and a connection is
 * looked at about once in its keep-alive time.
 *
 * Time is real time: the timeout of a socket, in whose place this is, knows no other. The clock is looked at once a tick, since ticks come
 * late on a busy machine, by 0.5 to 4 ms each, and some 66 of them add up. A connection counts as active until the end of the
 * tick in which it was, whenever that came, so that none ends early.
 *
 * Of a tick that comes later than a whole tick only two are counted: the process, or the machine, stood still, and what clients
 * have sent meanwhile has not been read yet. Nobody is taken for idle for that.
 */
export class IdleWheel {
  /** Raised by one each time that it has passed. */
  tick = 0;
  readonly tickMs: number;
  readonly keepAliveMs: number;
  readonly #clock: () => number;
  /** By the tick in which they were active, round and round. */
  readonly #places: (IdleTimer | undefined)[];
  /** When the tick of each place ended, of the time that was counted. */
  readonly #endedMs: Float64Array;
  /** The oldest tick that is not over for long enough. */
  #due = 0;
  #countedMs = 0;
  /** When this tick began, of the time that was counted. */
  #beganMs = 0;
  /** What the clock said last. */
  #seenMs = 0;
  #size = 0;
  #interval: NodeJS.Timeout | undefined;

  /** `keepAliveMs`: 0 where connections are never ended for being idle. `clock`: monotonic, milliseconds. */
  constructor(keepAliveMs: number, clock = (): number => performance.now()) {
    this.keepAliveMs = keepAliveMs;
    this.#clock = clock;
    const tickMs = Math.min(LONGEST_TICK_MS, Math.max(SHORTEST_TICK_MS, Math.floor(keepAliveMs / TICKS)));
    this.tickMs = Math.max(tickMs, Math.ceil(keepAliveMs / MOST_TICKS));
    // No tick is shorter than half of one.
    const places = 2 * Math.ceil(keepAliveMs / this.tickMs) + 3;
    this.#places = Array.from({ length: places }, () => undefined);
    this.#endedMs = new Float64Array(places);
  }

  /** Has it looked at when it has been idle for as long as it may be since it was last active. */
  add(timer: IdleTimer): void {
    const at = timer.activeTick % this.#places.length;
    const first = this.#places[at];
    timer.next = first;
    timer.previous = undefined;
    if (first !== undefined) first.previous = timer;
    this.#places[at] = timer;
    timer.place = at;
    this.#size += 1;
    if (this.#interval === undefined) this.#start(timer);
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

  /**
   * With the only one that there is. What has passed while there was none makes no difference: it is counted before the tick ends in which
   * this one was active.
   */
  #start({ activeTick }: IdleTimer): void {
    this.#due = activeTick;
    this.#interval = setInterval(() => this.#pass(), this.tickMs).unref();
  }

  #pass(): void {
    const nowMs = this.#clock();
    this.#countedMs += Math.min(nowMs - this.#seenMs, 2 * this.tickMs);
    this.#seenMs = nowMs;
    // One that comes early, behind one that came late, is a part of the next one.
    if (this.#countedMs - this.#beganMs >= this.tickMs / 2) {
      this.#endedMs[this.tick % this.#places.length] = this.#countedMs;
      this.#beganMs = this.#countedMs;
      this.tick += 1;
    }
    while (this.#isOver(this.#due)) {
      this.#due += 1;
      this.#look(this.#due - 1);
    }
  }

  /** Whether who was last active in that tick has been idle for long enough. */
  #isOver(tick: number): boolean {
    const endedMs = this.#endedMs[tick % this.#places.length] ?? Infinity;
    return tick < this.tick && this.#countedMs - endedMs >= this.keepAliveMs;
  }

  #look(tick: number): void {
    const at = tick % this.#places.length;
    // What is added anew meanwhile has another place: it was active in a later tick.
    for (let timer = this.#places[at]; timer !== undefined; timer = this.#places[at]) {
      this.remove(timer);
      if (timer.activeTick > tick) timer.wait();
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

  /** Of the wheel: as the socket does it, whose timeout this is. It has that again, for whoever finds that it is not idle. */
  end(): void {
    if (!this.#isTaken) return;
    this.giveBack();
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
