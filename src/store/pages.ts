/** A page larger than this is one item's own. */
const largestPage = 2 ** 20;
const leastPage = 2 ** 10;

/** A small tier has at least so many pages, so that what is free in them is a small part of it. */
const pagesAtLeast = 64;

/** An item of more than this part of a page has one of its own: the ends of pages would else be left empty. */
const sharedPart = 1 / 4;

/** Pages are told apart by so many degrees of how full they are. */
const degrees = 16;

export interface Page {
  readonly number: number;
  readonly bytes: Buffer;
  readonly isShared: boolean;
  /** Bytes that were written since it was last empty. */
  used: number;
  /** Those of them that are of items that are still stored; of one item's own page what it counts for. */
  live: number;
}

/**
 * Memory for items. Many small ones share a page; nobody outside ever sees into a shared page (what is read of it is a
 * copy), so an emptied one is written anew, or its memory given back, at once: floods make no garbage that V8 would have to
 * find first. The body of a large response is a page of its own, which is handed out as it is and never written to.
 */
export class Pages {
  /** Bytes of a shared page. */
  readonly pageBytes: number;
  #pages: (Page | undefined)[] = [undefined];
  #freeNumbers: number[] = [];
  /** Shared pages by how much of them is live, the one that is being filled aside. */
  #byDegree = setsByDegree();
  readonly #empty: Buffer[] = [];
  /** Those that {@link clear} has emptied all at once, and how many are left: to take each in hand there would be a walk through all. */
  readonly #cleared: Iterator<Page>[] = [];
  #clearedPages = 0;
  #current: Page | undefined;
  #shared = 0;
  /** Bytes of items in shared pages. */
  #sharedLive = 0;
  #bytes = 0;
  /** Where {@link place} has made room. */
  offset = 0;

  constructor(maxBytes: number) {
    this.pageBytes = pageBytesOf(maxBytes);
  }

  /** Of all pages in full, empty ones that are kept included. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Empty pages that are kept. */
  get emptyPages(): number {
    return this.#empty.length + this.#clearedPages;
  }

  /** Shared pages with items. */
  get sharedPages(): number {
    return this.#shared;
  }

  /** Bytes that room for an item of that length would take: 0 where there is some. */
  needs(length: number): number {
    if (!this.#isShared(length)) return length;
    if (this.#current !== undefined && this.#current.used + length <= this.pageBytes) return 0;
    return this.emptyPages > 0 ? 0 : this.pageBytes;
  }

  /** A page with room for that length from {@link offset} on. `exact`: a page of its own in any case. */
  place(length: number, exact: boolean): Page {
    if (exact || !this.#isShared(length)) {
      this.offset = 0;
      return this.own(Buffer.allocUnsafeSlow(length));
    }
    if (this.#current === undefined || this.#current.used + length > this.pageBytes) this.#open();
    const page = this.#current ?? this.#open();
    this.offset = page.used;
    page.used += length;
    page.live += length;
    this.#sharedLive += length;
    return page;
  }

  /** Makes the Buffer a page of its own, which takes so many bytes. */
  own(bytes: Buffer, takes = bytes.byteLength): Page {
    this.#bytes += takes;
    return this.#add({ bytes, isShared: false, used: bytes.byteLength, live: takes });
  }

  get(number: number): Page | undefined {
    return this.#pages[number];
  }

  /** Which part of the shared pages nothing is stored in, the one that is being filled aside. */
  get holes(): number {
    const { live, count } =
      this.#current === undefined ? { live: 0, count: 0 } : { live: this.#current.live, count: 1 };
    const pages = this.#shared - count;
    return pages === 0 ? 0 : 1 - (this.#sharedLive - live) / (pages * this.pageBytes);
  }

  /** That many bytes of the page are not needed any more. */
  release(page: Page, length: number): void {
    if (!page.isShared) {
      this.#remove(page);
      this.#bytes -= page.live;
      return;
    }
    const before = degreeOf(page, this.pageBytes);
    page.live -= length;
    this.#sharedLive -= length;
    if (page.live === 0) {
      this.#byDegree[before]?.delete(page);
      if (page === this.#current) this.#current = undefined;
      this.#remove(page);
      this.#shared -= 1;
      this.#empty.push(page.bytes);
      return;
    }
    const after = degreeOf(page, this.pageBytes);
    if (page === this.#current || before === after) return;
    this.#byDegree[before]?.delete(page);
    this.#byDegree[after]?.add(page);
  }

  /** The shared page of which the least is live, where that is at most this share of it; not the one that is being filled. */
  sparsest(share: number): Page | undefined {
    for (let degree = 0; degree <= share * degrees; degree += 1) {
      const pages = this.#byDegree[degree];
      // Asked for with each eviction: an iterator over each set that is empty was most of the answer's cost.
      if (pages === undefined || pages.size === 0) continue;
      for (const page of pages) return page;
    }
    return undefined;
  }

  /** Gives the memory of an empty page back to the system, at once: it is detached, which nobody can notice. */
  trim(): void {
    const page = this.#takeEmpty();
    if (page === undefined) return;
    this.#bytes -= page.byteLength;
    // What `buffer` is of a Buffer made here is an ArrayBuffer; the type allows for shared memory.
    if (page.buffer instanceof ArrayBuffer) page.buffer.transfer(0);
  }

  /**
   * Empties all pages without a look at any of them, so that it takes no longer where there are many: a shared one counts until it is
   * taken for what comes next or given back, one item's own no more from now on.
   */
  clear(): void {
    if (this.#current !== undefined) this.#empty.push(this.#current.bytes);
    for (const pages of this.#byDegree) {
      if (pages.size === 0) continue;
      this.#cleared.push(pages.values());
      this.#clearedPages += pages.size;
    }
    this.#bytes = this.emptyPages * this.pageBytes;
    this.#pages = [undefined];
    this.#freeNumbers = [];
    this.#byDegree = setsByDegree();
    this.#current = undefined;
    this.#shared = 0;
    this.#sharedLive = 0;
  }

  #isShared(length: number): boolean {
    return length <= this.pageBytes * sharedPart;
  }

  #open(): Page {
    const full = this.#current;
    if (full !== undefined) this.#byDegree[degreeOf(full, this.pageBytes)]?.add(full);
    let bytes = this.#takeEmpty();
    if (bytes === undefined) {
      bytes = Buffer.allocUnsafeSlow(this.pageBytes);
      this.#bytes += this.pageBytes;
    }
    this.#shared += 1;
    this.#current = this.#add({ bytes, isShared: true, used: 0, live: 0 });
    return this.#current;
  }

  #takeEmpty(): Buffer | undefined {
    const page = this.#empty.pop();
    if (page !== undefined) return page;
    for (let pages = this.#cleared.at(-1); pages !== undefined; pages = this.#cleared.at(-1)) {
      const next = pages.next();
      if (next.done !== true) {
        this.#clearedPages -= 1;
        return next.value.bytes;
      }
      this.#cleared.pop();
    }
    return undefined;
  }

  #add(page: Omit<Page, 'number'>): Page {
    const number = this.#freeNumbers.pop() ?? this.#pages.length;
    const added: Page = { number, ...page };
    this.#pages[number] = added;
    return added;
  }

  #remove(page: Page): void {
    this.#pages[page.number] = undefined;
    this.#freeNumbers.push(page.number);
  }
}

/** Bytes of a shared page in a tier of that size. */
export function pageBytesOf(maxBytes: number): number {
  const wanted = 2 ** Math.floor(Math.log2(Math.max(1, maxBytes / pagesAtLeast)));
  return Math.min(Math.max(wanted, leastPage), largestPage);
}

function setsByDegree(): readonly Set<Page>[] {
  return Array.from({ length: degrees + 1 }, () => new Set<Page>());
}

function degreeOf(page: Page, pageBytes: number): number {
  return Math.ceil((page.live / pageBytes) * degrees);
}
