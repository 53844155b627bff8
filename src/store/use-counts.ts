/** Places, a power of two: 128 KiB, of which only what is used is memory. */
const PLACES = 8192;

/** Words of a place. */
const SERIAL = 0;
const RECORD = 1;
const USES = 2;
const HITS = 3;
const WIDTH = 4;

/** A place that another record has is taken by one of so many that ask: where more are in use than there are places, most would come and go unused. */
const ONE_OF = 8;

/** Takes what was counted of a record. */
export type Settle = (record: number, uses: number, hits: number) => void;

/**
 * Uses of the records that are answered with over and over, side by side, until somebody asks for them: the rows of a few hundred among a
 * million lie in as many chunks, and each is several lines and pages of memory that are cold by the time that they are needed
 * again. A record that is counted here is stored: who removes it says so.
 */
export class UseCounts {
  readonly #places = new Uint32Array(PLACES * WIDTH);
  readonly #settle: Settle;
  #turn = 0;

  constructor(settle: Settle) {
    this.#settle = settle;
  }

  /** Whether the record of that serial, which is never 0, is counted here, and so stored. */
  has(serial: number): boolean {
    return this.#places[placeOf(serial)] === serial;
  }

  /** Counts a use of it. False: it is not counted here. */
  count(serial: number, isHit: boolean): boolean {
    const places = this.#places;
    const at = placeOf(serial);
    if (places[at] !== serial) return false;
    places[at + USES] = (places[at + USES] ?? 0) + 1;
    if (isHit) places[at + HITS] = (places[at + HITS] ?? 0) + 1;
    return true;
  }

  /** Has the record counted here from now on, where its place is to be had. It must be stored. */
  enter(serial: number, record: number): void {
    const places = this.#places;
    const at = placeOf(serial);
    const other = places[at] ?? 0;
    if (other !== 0) {
      this.#turn = (this.#turn + 1) % ONE_OF;
      if (this.#turn !== 0) return;
      this.settle(other);
    }
    places[at + SERIAL] = serial;
    places[at + RECORD] = record;
  }

  /** Hands on what was counted of it since this was last asked. */
  settle(serial: number): void {
    const places = this.#places;
    const at = placeOf(serial);
    const uses = places[at + USES] ?? 0;
    if (places[at] !== serial || uses === 0) return;
    const hits = places[at + HITS] ?? 0;
    places[at + USES] = 0;
    places[at + HITS] = 0;
    this.#settle(places[at + RECORD] ?? 0, uses, hits);
  }

  /** It is not stored any more. */
  remove(serial: number): void {
    const at = placeOf(serial);
    if (this.#places[at] === serial) this.#places.fill(0, at, at + WIDTH);
  }
}

/** Records that were stored one after another have places side by side. */
function placeOf(serial: number): number {
  return (serial & (PLACES - 1)) * WIDTH;
}
