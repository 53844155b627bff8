import type { KeyValues } from '../core/request.ts';

/** For so many hits at most, some 300 bytes each beside their values. A power of two. */
const PLACES = 4096;

/** Where both places of a hit are taken, one in so many takes one: where more are in use than there are places, most would come and go unused. */
const TRIES = 8;

interface Known<T extends object> {
  readonly plan: object;
  readonly path: string;
  readonly values: readonly (string | undefined)[];
  readonly head: boolean;
  /** Held weakly, so that a response which the store has dropped goes with it. */
  hit: WeakRef<T>;
}

/**
 * Hits by what their keys are made of: of a request whose like was just answered the key is neither put together nor looked up.
 * By a hash of its own and a comparison, since V8 puts each text that a `Map` is asked for into its table of strings, which took
 * longer than all else that is done for a hit. Forgetting costs a look-up and nothing else.
 */
export class KnownHits<T extends object> {
  readonly #places: (Known<T> | undefined)[] = [];
  #refused = 0;

  find(asked: KeyValues, head: boolean): T | undefined {
    const place = placeOf(asked, head);
    const one = this.#places[place];
    if (one !== undefined && isLike(one, asked, head)) return one.hit.deref();
    const other = this.#places[place ^ 1];
    return other !== undefined && isLike(other, asked, head) ? other.hit.deref() : undefined;
  }

  /** `asked`: of a hit that a look-up has found; `undefined`: its key is made of more. */
  remember(asked: KeyValues | undefined, head: boolean, hit: T): void {
    if (asked === undefined) return;
    if (this.#places.length === 0) for (let count = 0; count < PLACES; count += 1) this.#places.push(undefined);
    const place = this.#choose(asked, head);
    if (place === undefined) return;
    const { plan, path, values } = asked;
    const known = this.#places[place];
    if (known === undefined || !isLike(known, asked, head)) {
      this.#places[place] = { plan, path, values, head, hit: new WeakRef(hit) };
    } else if (known.hit.deref() !== hit) known.hit = new WeakRef(hit);
  }

  /** Its own, one that is free, or now and then another's. */
  #choose(asked: KeyValues, head: boolean): number | undefined {
    const first = placeOf(asked, head);
    const second = first ^ 1;
    const one = this.#places[first];
    const other = this.#places[second];
    // It may be in the second while the first has become free.
    if (other !== undefined && isLike(other, asked, head)) return second;
    if (one === undefined || isLike(one, asked, head)) return first;
    if (other === undefined) return second;
    // What is gone from the store is nobody's.
    if (one.hit.deref() === undefined) return first;
    if (other.hit.deref() === undefined) return second;
    this.#refused = (this.#refused + 1) % (TRIES * 2);
    if (this.#refused % TRIES !== 0) return undefined;
    return this.#refused === 0 ? first : second;
  }
}

function isLike(known: Known<object>, { plan, path, values }: KeyValues, head: boolean): boolean {
  if (known.plan !== plan || known.head !== head || known.path !== path) return false;
  // Of one plan there are as many.
  for (let index = 0; index < values.length; index += 1) if (known.values[index] !== values[index]) return false;
  return true;
}

function placeOf({ hash }: KeyValues, head: boolean): number {
  const mixed = hash ^ (hash >>> 15) ^ (head ? HEAD : 0);
  return mixed & (PLACES - 1);
}

/** Beside the two places of the whole answer. */
const HEAD = 2;
