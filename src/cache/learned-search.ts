import { searchRule, type SearchRule } from '../core/no-vary-search.ts';
import type { KeyedRequest } from '../core/request.ts';
import type { StoredResponse } from '../core/stored-response.ts';
import { wasAskedLater } from './asked-later.ts';
import type { Clock, Observer } from './ports.ts';
import { SharedRules } from './shared-rules.ts';

/** Paths whose rule is remembered. The one that was used longest ago is forgotten first. */
export const MAX_SEARCH_PATHS = 10_000;

/** Of these paths, which clients choose, and of their rules, in which upstreams may name thousands of parameters. */
export const MAX_SEARCH_BYTES = 2 ** 23;

/** A path beside its characters. */
const PATH_BYTES = 250;

/** What an upstream has said of a path. */
interface Learned {
  readonly rule: SearchRule;
  /** Of the request that taught it: what was said later counts, see {@link wasAskedLater}. */
  readonly requestTimeMs: number;
}

/** What a response teaches. */
type Lesson = Pick<StoredResponse, 'status' | 'fields' | 'requestTimeMs'>;

/**
 * What upstreams' No-Vary-Search has said, by route and path: the latest answer of a path counts for all its later
 * requests. Each process learns for itself, from what it fetches and from what it reads; no guarantee rests on it, since
 * what is keyed by a rule carries tags that each purge of its path covers.
 */
export class LearnedSearch {
  readonly #rules = new Map<string, Learned>();
  readonly #shared = new SharedRules();
  #pathBytes = 0;
  readonly #observer: Pick<Observer, 'limit'>;
  readonly #clock: Pick<Clock, 'nowMs'>;
  readonly #capacity: number;

  constructor(observer: Pick<Observer, 'limit'>, clock: Pick<Clock, 'nowMs'>, capacity: number = MAX_SEARCH_PATHS) {
    this.#observer = observer;
    this.#clock = clock;
    this.#capacity = capacity;
  }

  /** Paths with a rule. */
  get size(): number {
    return this.#rules.size;
  }

  /** About what they and their rules take. */
  get bytes(): number {
    return this.#pathBytes + this.#shared.bytes;
  }

  /** The request as it is keyed by what is known of its path now. */
  keyed(keyed: KeyedRequest): KeyedRequest {
    const { search } = keyed;
    // A request that is answered from memory passes here: most upstreams teach nothing.
    if (search === undefined || (this.#rules.size === 0 && search.rule === undefined)) return keyed;
    const { place } = search;
    const learned = this.#rules.get(place);
    if (learned !== undefined) {
      this.#rules.delete(place);
      this.#rules.set(place, learned);
    }
    return keyedBy(keyed, learned);
  }

  /** As {@link keyed}, but is no use: for `explain`. */
  peek(keyed: KeyedRequest): KeyedRequest {
    return keyed.search === undefined ? keyed : keyedBy(keyed, this.#rules.get(keyed.search.place));
  }

  /**
   * The request as its answer is keyed: by the rule of now only if the answer says that very rule itself. Any other is good
   * for its own query alone, an error among them, which leaves the rule as it is.
   */
  statedBy(keyed: KeyedRequest, { fields }: Pick<Lesson, 'fields'>): KeyedRequest {
    const { search } = keyed;
    if (search === undefined) return keyed;
    const stated = searchRule(fields);
    const learned = this.#rules.get(search.place);
    return keyedBy(keyed, stated === undefined || stated.text !== learned?.rule.text ? undefined : learned);
  }

  /** One that knows the same and goes its own way: for what would be learnt. */
  copy(): LearnedSearch {
    const copy = new LearnedSearch({ limit: () => {} }, this.#clock, this.#capacity);
    for (const [place, learned] of this.#rules) copy.#keep(place, learned);
    return copy;
  }

  /**
   * Takes in what a response says of its path. One without the field takes back what an earlier one has said; an error says
   * nothing, lest a failing upstream make a whole path cold.
   */
  learn({ search }: KeyedRequest, { status, fields, requestTimeMs }: Lesson): void {
    if (search === undefined || status >= 400) return;
    const known = this.#rules.get(search.place);
    if (known !== undefined && wasAskedLater(known, { requestTimeMs }, this.#clock)) return;
    const rule = searchRule(fields);
    this.#forget(search.place);
    if (rule === undefined) return;
    this.#keep(search.place, { rule, requestTimeMs });
    while (this.#rules.size > this.#capacity || (this.bytes > MAX_SEARCH_BYTES && this.#rules.size > 1)) {
      this.#observer.limit('routes.noVarySearch');
      this.#forgetOldest();
    }
  }

  /** Nothing may be kept of the path. */
  #keep(place: string, { rule, requestTimeMs }: Learned): void {
    this.#rules.set(place, { rule: this.#shared.take(rule), requestTimeMs });
    this.#pathBytes += PATH_BYTES + place.length;
  }

  #forgetOldest(): void {
    const oldest = this.#rules.keys().next();
    if (oldest.done !== true) this.#forget(oldest.value);
  }

  #forget(place: string): void {
    const learned = this.#rules.get(place);
    if (learned === undefined) return;
    this.#rules.delete(place);
    this.#shared.release(learned.rule);
    this.#pathBytes -= PATH_BYTES + place.length;
  }
}

function keyedBy(keyed: KeyedRequest, learned: Learned | undefined): KeyedRequest {
  const { search } = keyed;
  if (search === undefined || learned?.rule.text === search.rule?.text) return keyed;
  return search.by(learned?.rule);
}
