import { type HashWords, TextHash } from './text-hash.ts';

/** A look at Redis that is under way. */
export interface ReadUnderWay<T> {
  readonly key: string;
  /** On whose behalf: what its rules say counts for purges. */
  readonly url: string;
  readonly read: T;
}

interface Entry<T> extends ReadUnderWay<T> {
  next: Entry<T> | undefined;
}

/** More under way than this share chains. A power of 2. */
const chains = 1024;

/**
 * What is being read, by key and URL. No `Map`: of what comes and goes with each request V8 makes a new table ever so often,
 * through which what old ones held outlives young collections (`core/places.ts`), and it puts each text that a `Map` is asked
 * for into its string table.
 */
export class ReadsUnderWay<T> {
  readonly #chains: (Entry<T> | undefined)[] = Array.from({ length: chains }, () => undefined);
  readonly #hash = new TextHash();

  /** Of the key's hash the first word is what all others here are to be asked by. */
  hashOf(key: string): HashWords {
    const { low, high } = this.#hash.take(key);
    return { low: low | 0, high: high | 0 };
  }

  find(hash: number, key: string, url: string): T | undefined {
    let entry = this.#chains[hash & (chains - 1)];
    while (entry !== undefined && (entry.key !== key || entry.url !== url)) entry = entry.next;
    return entry?.read;
  }

  /** There is none yet of this key and URL. */
  begin(hash: number, { key, url, read }: ReadUnderWay<T>): void {
    const place = hash & (chains - 1);
    this.#chains[place] = { key, url, read, next: this.#chains[place] };
  }

  /** Nobody finds it any more. */
  end(hash: number, { key, url }: Pick<ReadUnderWay<T>, 'key' | 'url'>): void {
    const place = hash & (chains - 1);
    let before: Entry<T> | undefined;
    let entry = this.#chains[place];
    while (entry !== undefined && (entry.key !== key || entry.url !== url)) {
      before = entry;
      entry = entry.next;
    }
    if (entry === undefined) return;
    if (before === undefined) this.#chains[place] = entry.next;
    else before.next = entry.next;
  }
}
