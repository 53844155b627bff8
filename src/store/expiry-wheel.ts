import type { Looks } from './scope-index.ts';
import type { StoredRecords } from './stored-records.ts';
import { words } from './stored-records.ts';

/** One place of the wheel is a second; what ends within it is found when it is over. */
const tickMs = 1000;

/** Places of each level, and levels: the first covers 256 s second by second, the second 18 h, the third half a year, the last 136 years. */
const places = 256;
const units = [1, places, places ** 2, places ** 3] as const;

/** The place of what was past its end when it came. */
const latePlace = units.length * places;

/** Marks a link that names a place instead of the record before. */
const placeFlag = 2 ** 31;

/**
 * Stored records by the end of their retention: a hierarchical timing wheel (Varghese and Lauck, 1987), so that what has
 * ended is found at once and without a walk through what has not. Links are words of the records' rows. What is far off is
 * in wider places and moves to narrower ones when their time comes, one record a step.
 *
 * Goes by the wall clock, which may be set: a record leaves only by its own time, and is put where it belongs whenever it is
 * met too early.
 */
export class ExpiryWheel {
  readonly #records: StoredRecords;
  /** The first record of each place; 0: none. */
  readonly #first = new Uint32Array(latePlace + 1);
  /** All ticks before it are done. */
  #tick = 0;
  #size = 0;

  constructor(records: StoredRecords) {
    this.#records = records;
  }

  /** Records that it holds: all that are stored but those that never end. */
  get size(): number {
    return this.#size;
  }

  add(record: number, nowMs: number): void {
    const endsMs = this.#endOf(record);
    if (!Number.isFinite(endsMs)) return;
    this.#look(nowMs);
    this.#size += 1;
    this.#link(record, this.#placeOf(Math.ceil(endsMs / tickMs)));
  }

  remove(record: number): void {
    const { rows } = this.#records;
    const before = rows.get(record, words.endsBefore);
    if (before === 0) return;
    const after = rows.get(record, words.endsAfter);
    if (before >= placeFlag) this.#first[before - placeFlag] = after;
    else rows.set(before, words.endsAfter, after);
    if (after !== 0) rows.set(after, words.endsBefore, before);
    rows.set(record, words.endsBefore, 0);
    rows.set(record, words.endsAfter, 0);
    this.#size -= 1;
  }

  /**
   * A step of the work that is due: a record that has ended, which the caller removes; `moved`: there is more to do;
   * `done`: nothing is due now.
   */
  step(nowMs: number): number | 'moved' | 'done' {
    this.#look(nowMs);
    const nowTick = tickOf(nowMs);
    for (;;) {
      const place = this.#dueAtTick();
      if (place !== undefined) return this.#take(this.#first[place] ?? 0, nowMs);
      const next = this.#nextTick();
      if (next > nowTick) {
        this.#tick = nowTick;
        return 'done';
      }
      this.#tick = next;
    }
  }

  /** The wall clock's time at which the next step is due; infinite where nothing is held. Milliseconds. */
  nextMs(nowMs: number): number {
    if (this.#size === 0) return Number.POSITIVE_INFINITY;
    this.#look(nowMs);
    return this.#dueAtTick() === undefined ? this.#nextTick() * tickMs : nowMs;
  }

  /**
   * Counts those that have ended and are still held, of which `isCounted` says so. `undefined`: it takes more than `most` looks, with
   * those that `isCounted` adds.
   */
  countEnded(
    nowMs: number,
    most: number,
    isCounted: (record: number) => boolean,
    looks: Looks = { count: 0 },
  ): number | undefined {
    this.#look(nowMs);
    const { rows } = this.#records;
    const lastTick = Math.max(0, Math.ceil(nowMs / tickMs));
    let counted = 0;
    for (const place of this.#placesUntil(lastTick)) {
      for (let record = this.#first[place] ?? 0; record !== 0; record = rows.get(record, words.endsAfter)) {
        looks.count += 1;
        if (looks.count > most) return undefined;
        if (this.#endOf(record) <= nowMs && isCounted(record)) counted += 1;
      }
    }
    return counted;
  }

  /** Where what ends by that tick is, and what is not there yet. */
  *#placesUntil(lastTick: number): Generator<number, void, void> {
    yield latePlace;
    for (const [level, unit] of units.entries()) {
      const at = Math.floor(this.#tick / unit);
      // A place of the first level is reached with its tick; a wider one with its first tick, and after that it is a round ahead.
      const first = this.#tick % unit === 0 ? at : at + 1;
      const last = Math.min(first + places - 1, Math.floor(lastTick / unit));
      for (let reached = first; reached <= last; reached += 1) yield level * places + (reached % places);
    }
  }

  /** Where the clock was set back, ticks that were done are to come again. */
  #look(nowMs: number): void {
    const nowTick = tickOf(nowMs);
    if (this.#size === 0 || nowTick < this.#tick) this.#tick = nowTick;
  }

  #endOf(record: number): number {
    return this.#records.rows.double(record, words.retainUntilMs);
  }

  /** A place with records whose time has come at the present tick; `undefined`: all is done of it. */
  #dueAtTick(): number | undefined {
    if (this.#first[latePlace] !== 0) return latePlace;
    // The widest first, as it moves records into those that come after.
    for (let level = units.length - 1; level >= 0; level -= 1) {
      const unit = units[level] ?? 1;
      if (this.#tick % unit !== 0) continue;
      const place = level * places + ((this.#tick / unit) % places);
      if (this.#first[place] !== 0) return place;
    }
    return undefined;
  }

  /** The first tick after the present one at which a place has records. */
  #nextTick(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const [level, unit] of units.entries()) {
      const at = Math.floor(this.#tick / unit);
      for (let ahead = 1; ahead <= places && (at + ahead) * unit < next; ahead += 1) {
        if (this.#first[level * places + ((at + ahead) % places)] !== 0) next = (at + ahead) * unit;
      }
    }
    return next;
  }

  #take(record: number, nowMs: number): number | 'moved' {
    const endsMs = this.#endOf(record);
    if (endsMs <= nowMs) return record;
    this.remove(record);
    this.#size += 1;
    this.#link(record, this.#placeOf(Math.ceil(endsMs / tickMs)));
    return 'moved';
  }

  #placeOf(tick: number): number {
    const ahead = tick - this.#tick;
    if (ahead < 0) return latePlace;
    for (const [level, unit] of units.entries()) {
      if (ahead < unit * places) return level * places + (Math.floor(tick / unit) % places);
    }
    // Farther than the last level reaches: it is met again before its time.
    const widest = units[units.length - 1] ?? 1;
    return (units.length - 1) * places + ((Math.floor(this.#tick / widest) + places - 1) % places);
  }

  #link(record: number, place: number): void {
    const { rows } = this.#records;
    const after = this.#first[place] ?? 0;
    rows.set(record, words.endsBefore, placeFlag + place);
    rows.set(record, words.endsAfter, after);
    if (after !== 0) rows.set(after, words.endsBefore, record);
    this.#first[place] = record;
  }
}

/** A wall clock before 1970 is one that was never set: all that has an end then ends later. */
function tickOf(nowMs: number): number {
  return Math.max(0, Math.floor(nowMs / tickMs));
}
