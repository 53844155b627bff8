import { type Standing, standingOf } from '../core/freshness.ts';
import type { FieldLines } from '../core/fields.ts';
import type { StoredResponse } from '../core/stored-response.ts';
import { isLeased } from './judge.ts';
import type { LearnedSearch } from './learned-search.ts';
import type { PurgeLog, Repeat, Said, StoredPlace } from './ports.ts';

export interface RepeatDeps {
  readonly purgeLog: Pick<PurgeLog, 'position'>;
  readonly search?: Pick<LearnedSearch, 'size'> | undefined;
}

interface StoredRepeatOptions {
  readonly place: StoredPlace;
  /** Of the marker that led to it. */
  readonly marker: StoredPlace | undefined;
  /** Upstream may yet say how to key the request. */
  readonly isTeachable: boolean;
  /** No soft purge covers it. */
  readonly item: StoredResponse;
  /** Of an answer that was composed of it at `nowMs`. */
  readonly fields: FieldLines;
  readonly nowMs: number;
}

/** The times of a stored response, without the rest of it. */
type Times = Pick<StoredResponse, 'freshness' | 'initialAgeMs' | 'responseTimeMs'>;

/** See {@link Repeat}. What it says is reckoned as whoever composes the answer does, from the same numbers. */
export class StoredRepeat implements Repeat {
  readonly ageLine: number;
  readonly ttlFrom: number;
  madeOf: object | undefined = undefined;
  readonly #deps: RepeatDeps;
  readonly #place: StoredPlace;
  readonly #marker: StoredPlace | undefined;
  readonly #isTeachable: boolean;
  readonly #times: Times;
  readonly #lifetime: number;

  constructor(deps: RepeatDeps, { place, marker, isTeachable, item, fields, nowMs }: StoredRepeatOptions) {
    const { freshness, initialAgeMs, responseTimeMs } = item;
    this.#deps = deps;
    this.#place = place;
    this.#marker = marker;
    this.#isTeachable = isTeachable;
    this.#times = { freshness, initialAgeMs, responseTimeMs };
    this.#lifetime = lifetimeOf(standingOf(item, undefined, nowMs));
    this.ageLine = ageLineIn(fields);
    this.ttlFrom = ttlFromIn(fields);
  }

  at(nowMs: number): Said | undefined {
    const staleFromMs = staleFrom(this.#times);
    if (!isIn(this.#times, staleFromMs, nowMs)) return undefined;
    const standing = standingOf(this.#times, undefined, nowMs);
    // Age and `ttl` are all that changes as long as the lifetime (`max-age`) does not: it is their sum, and may differ by a
    // second where the times are no whole milliseconds.
    return lifetimeOf(standing) === this.#lifetime ? saidOf(standing, staleFromMs, nowMs) : undefined;
  }

  again(nowMs: number): boolean {
    const { purgeLog, search } = this.#deps;
    if (!isLeased(purgeLog)) return false;
    // Most upstreams teach nothing. Where one has, what is keyed by a query is looked up anew.
    if (this.#isTeachable && search !== undefined && search.size > 0) return false;
    // Counted where all that led to it is there, else nothing: the whole way, which comes then, counts what it uses itself.
    if (this.#marker === undefined) return this.#place.again(nowMs, true);
    if (!this.#marker.holds(nowMs) || !this.#place.again(nowMs, true)) return false;
    this.#marker.again(nowMs, false);
    return true;
  }
}

/** What stands before the digits in the member that this proxy adds (`core/cache-status.ts`). */
const TTL = '; ttl=';

/** See {@link Repeat.ageLine}. */
export function ageLineIn(fields: FieldLines): number {
  return fields.findIndex(([name]) => name === 'age');
}

/** See {@link Repeat.ttlFrom}. */
export function ttlFromIn(fields: FieldLines): number {
  return (fields.at(-1)?.[1].indexOf(TTL) ?? -1) + TTL.length;
}

/** Whole seconds. */
export function lifetimeOf({ ageMs, ttlMs }: Standing): number {
  return Math.floor((ageMs + ttlMs) / 1000);
}

/** From when on no fresh answer can be made of it, where no soft purge covers it. Milliseconds, wall clock. */
export function staleFrom({ freshness }: Times): number {
  return Math.min(freshness.freshUntilMs, freshness.retainUntilMs);
}

/** A wall clock that was set back holds ages still for as long as it may be, which is no second that comes to an end. */
export function isIn({ responseTimeMs }: Times, staleFromMs: number, nowMs: number): boolean {
  return nowMs >= responseTimeMs && nowMs < staleFromMs;
}

export function saidOf(standing: Standing, staleFromMs: number, nowMs: number): Said {
  const { ageMs, ttlMs, ageSeconds, ttlSeconds } = standing;
  return {
    ageSeconds,
    ttlSeconds,
    sinceMs: nowMs,
    untilMs: Math.min(nowMs + (ageSeconds + 1) * 1000 - ageMs, staleFromMs),
    lastMs: nowMs + ttlMs - ttlSeconds * 1000,
  };
}
