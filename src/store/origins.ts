import type { StoredItem } from '../core/stored-response.ts';

/** What many stored items have in common, held once. */
export interface Origin {
  readonly number: number;
  readonly route: string;
  readonly upstream: string;
  readonly epoch: string;
  /** Of the lifetime; empty for a marker. */
  readonly source: string;
  /** Items that have it. */
  items: number;
}

/** The few origins by number; one goes with its last item. */
export class Origins {
  readonly #byText = new Map<string, Origin>();
  readonly #byNumber: (Origin | undefined)[] = [undefined];
  readonly #free: number[] = [];
  /** That of the last item: the next one's is the same nearly always. */
  #last: Origin | undefined;

  get(number: number): Origin | undefined {
    return this.#byNumber[number];
  }

  /** That of the item, with the item counted. */
  take(item: StoredItem): Origin {
    const { route, upstream } = item;
    const { epoch } = item.position;
    const source = item.kind === 'response' ? item.freshness.source : '';
    const last = this.#last;
    if (last !== undefined && last.route === route && last.upstream === upstream && last.epoch === epoch) {
      if (last.source === source && last.items > 0) {
        last.items += 1;
        return last;
      }
    }
    const text = JSON.stringify([route, upstream, epoch, source]);
    let origin = this.#byText.get(text);
    if (origin === undefined) {
      const number = this.#free.pop() ?? this.#byNumber.length;
      origin = { number, route, upstream, epoch, source, items: 0 };
      this.#byText.set(text, origin);
      this.#byNumber[number] = origin;
    }
    origin.items += 1;
    this.#last = origin;
    return origin;
  }

  /** One item less has it. */
  release(origin: Origin): void {
    origin.items -= 1;
    if (origin.items > 0) return;
    const { route, upstream, epoch, source } = origin;
    this.#byText.delete(JSON.stringify([route, upstream, epoch, source]));
    this.#byNumber[origin.number] = undefined;
    this.#free.push(origin.number);
  }
}
