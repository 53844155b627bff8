import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Page, Pages } from '../../src/store/pages.ts';

/** Pages of 1 KiB. */
function setUp() {
  const pages = new Pages(64 * 1024);
  /** Fills so many shared pages, each with four items. */
  const fill = (count: number): readonly Page[] => {
    const filled = new Set<Page>();
    for (let item = 0; item < 4 * count; item += 1) filled.add(pages.place(256, false));
    return [...filled];
  };
  return { pages, fill };
}

describe('pages that are all emptied at once', () => {
  test('count in full until they are given back one by one, each detached in that moment', () => {
    const { pages, fill } = setUp();
    const filled = fill(10);
    pages.clear();
    expect([pages.bytes, pages.emptyPages, pages.sharedPages]).toEqual([10_240, 10, 0]);
    for (let left = 9; left >= 0; left -= 1) {
      pages.trim();
      expect([pages.bytes, pages.emptyPages]).toEqual([left * 1024, left]);
      expect(filled.filter(({ bytes }) => bytes.byteLength > 0)).toHaveLength(left);
    }
    pages.trim();
    expect([pages.bytes, pages.emptyPages]).toEqual([0, 0]);
  });

  test('are used for what comes next, each once, before memory is taken for another', () => {
    const { pages, fill } = setUp();
    const before = new Set(fill(10).map(({ bytes }) => bytes));
    pages.clear();
    expect(pages.needs(256)).toBe(0);
    const after = fill(10).map(({ bytes }) => bytes);
    expect(new Set(after)).toEqual(before);
    expect([pages.bytes, pages.emptyPages, pages.needs(256)]).toEqual([10_240, 0, 1024]);
  });

  test('of which some were left from the time before are all there', () => {
    const { pages, fill } = setUp();
    fill(10);
    pages.clear();
    fill(3);
    pages.clear();
    expect([pages.bytes, pages.emptyPages]).toEqual([10_240, 10]);
    expect(new Set(fill(10).map(({ bytes }) => bytes)).size).toBe(10);
    expect([pages.bytes, pages.emptyPages]).toEqual([10_240, 0]);
  });

  test('let go of what one item had for its own, which its reader has still', () => {
    const { pages, fill } = setUp();
    fill(1);
    const own = pages.place(5000, false);
    const body = pages.own(Buffer.alloc(3000, 'b'), 3400);
    expect(pages.bytes).toBe(1024 + 5000 + 3400);
    pages.clear();
    expect([pages.bytes, pages.emptyPages]).toEqual([1024, 1]);
    expect([pages.get(own.number), pages.get(body.number)]).toEqual([undefined, undefined]);
    pages.trim();
    expect([own.bytes.byteLength, body.bytes.toString()]).toEqual([5000, 'b'.repeat(3000)]);
  });
});

const step = fc.oneof(
  {
    weight: 30,
    arbitrary: fc.record({ do: fc.constant('place' as const), number: fc.integer({ min: 1, max: 2000 }) }),
  },
  { weight: 20, arbitrary: fc.record({ do: fc.constant('release' as const), number: fc.nat() }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('trim' as const), number: fc.constant(0) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('clear' as const), number: fc.constant(0) }) },
);

interface Placed {
  readonly page: Page;
  readonly length: number;
  readonly offset: number;
  readonly mark: number;
}

/** Writes into each item, and looks whether all are as they were written. */
class PagesTrial {
  readonly pages = new Pages(64 * 1024);
  #placed: Placed[] = [];
  #marks = 0;

  run(what: 'place' | 'release' | 'trim' | 'clear', number: number): void {
    if (what === 'place') this.#place(number);
    else if (what === 'release') this.#release(number);
    else if (what === 'trim') this.pages.trim();
    else {
      this.pages.clear();
      this.#placed = [];
    }
  }

  /** Bytes of items whose bytes are not theirs. */
  get strange(): number {
    return this.#placed.filter(({ page, length, offset, mark }) => {
      const bytes = page.bytes.subarray(offset, offset + length);
      return this.pages.get(page.number) !== page || bytes.byteLength !== length || bytes.some((byte) => byte !== mark);
    }).length;
  }

  /** What all pages that are in use or empty have in bytes. */
  get expectedBytes(): number {
    const own = this.#placed.filter(({ page }) => !page.isShared).reduce((sum, { length }) => sum + length, 0);
    return own + (this.pages.sharedPages + this.pages.emptyPages) * this.pages.pageBytes;
  }

  get sharedInUse(): number {
    return new Set(this.#placed.filter(({ page }) => page.isShared).map(({ page }) => page)).size;
  }

  #place(length: number): void {
    this.#marks = (this.#marks + 1) % 251;
    const page = this.pages.place(length, false);
    const { offset } = this.pages;
    page.bytes.fill(this.#marks, offset, offset + length);
    this.#placed.push({ page, length, offset, mark: this.#marks });
  }

  #release(number: number): void {
    const [gone] = this.#placed.splice(number % Math.max(1, this.#placed.length), 1);
    if (gone !== undefined) this.pages.release(gone.page, gone.length);
  }
}

test('whatever is placed, released, emptied and given back, no two items have the same bytes and each page counts once', () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 50, maxLength: 400, size: 'max' }), (steps) => {
      const trial = new PagesTrial();
      for (const { do: what, number } of steps) {
        trial.run(what, number);
        expect(trial.pages.bytes).toBe(trial.expectedBytes);
        expect(trial.pages.sharedPages).toBe(trial.sharedInUse);
      }
      expect(trial.strange).toBe(0);
    }),
    { numRuns: 100, seed: 20_261_126, endOnFailure: true },
  );
});
