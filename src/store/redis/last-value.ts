import type { ReadFor } from '../../cache/fleet-ports.ts';
import type { MaybePromise, SameReads } from '../../cache/ports.ts';
import { fieldLineValues } from '../../core/fields.ts';
import type { RequestMemo } from '../../core/request.ts';
import type { StoredResponse } from '../../core/stored-response.ts';
import { maxKeptLine } from './packed-meta.ts';
import { type Decoded, frameOf, type ValueFrame, withBody, wholeBody } from './codec.ts';

/** Head and meta of a value that are more are read each time, bytes. */
export const maxLastBytes = 2048;

/** What one takes beside texts: itself, the item without its body, its lifetimes. This and the next two were measured on the heap. */
const objectBytes = 512;
/** Of a field line beside its characters, where no other response has the same. */
const lineBytes = 152;
/** Of a tag beside its characters, where the item has others than the rules give. */
const tagBytes = 64;

const nothing = Buffer.alloc(0);

interface LastOptions {
  /** By the rules of today. */
  readonly item: StoredResponse;
  readonly asked: ReadFor;
  readonly memo: RequestMemo;
  /** Clock of Redis less that of this process, whole milliseconds. */
  readonly skewMs: number;
}

/**
 * What a value came to for one request, but for its body: where Redis gives the very same head and meta again, all that was read from them,
 * and made of them by the rules of today, is the same.
 */
export class LastValue implements SameReads {
  made: object | undefined = undefined;
  /** A character for each byte: it has to be compared, and nothing else. */
  readonly #head: string;
  readonly #frame: ValueFrame;
  readonly #item: StoredResponse;
  readonly memo: RequestMemo;
  readonly #skewMs: number;
  #bytes = 0;
  #isDropped = false;

  private constructor(value: Buffer, frame: ValueFrame, { item, asked, memo, skewMs }: LastOptions) {
    this.#head = value.toString('latin1', 0, frame.metaEnd);
    this.#frame = frame;
    this.#item = withSharedTexts(item, asked);
    this.memo = memo;
    this.#skewMs = skewMs;
  }

  /** `undefined`: it is too large, or there is no room for it. */
  static of(value: Buffer, options: LastOptions): LastValue | undefined {
    const frame = frameOf(value, maxLastBytes);
    if (frame === undefined) return undefined;
    const bytes = bytesOf(frame, options);
    if (!options.memo.grow(bytes)) return undefined;
    const last = new LastValue(value, frame, options);
    last.#bytes = bytes;
    return last;
  }

  grow(bytes: number): boolean {
    // Nobody would give it back.
    if (this.#isDropped || !this.memo.grow(bytes)) return false;
    this.#bytes += bytes;
    return true;
  }

  /** To be called once, when another takes its place. */
  drop(): void {
    this.#isDropped = true;
    this.memo.grow(-this.#bytes);
  }

  /** The item of the value, where it is the same but for its body. `undefined`: the value has to be read. */
  again(value: Buffer, skewMs: number, maxBodyBytes: number): MaybePromise<Decoded> | undefined {
    const { metaEnd } = this.#frame;
    if (skewMs !== this.#skewMs || value.toString('latin1', 0, metaEnd) !== this.#head) return undefined;
    const stored = wholeBody(value, this.#frame);
    return stored && withBody({ item: this.#item, stored }, this.#frame, maxBodyBytes);
  }
}

function bytesOf({ metaEnd }: ValueFrame, { item, asked }: LastOptions): number {
  let bytes = objectBytes + metaEnd;
  let longest = 0;
  for (const [name, value] of item.fields) {
    const length = name.length + value.length;
    longest = Math.max(longest, length);
    bytes += lineBytes + length;
  }
  let hasPieces = longest > maxKeptLine || item.url !== asked.keyed.url;
  if (item.tags !== asked.keyed.tags) {
    hasPieces = true;
    for (const tag of item.tags) bytes += tagBytes + tag.length;
  }
  // Of the text of the whole meta, which V8 keeps for them.
  return hasPieces ? bytes + metaEnd : bytes;
}

/** The item without its body, with the texts that are there in any case in the place of pieces of the one that it was read from. */
function withSharedTexts(item: StoredResponse, { route, keyed }: ReadFor): StoredResponse {
  return {
    ...item,
    route: item.route === route.name ? route.name : item.route,
    upstream: item.upstream === route.upstream ? route.upstream : item.upstream,
    url: item.url === keyed.url ? keyed.url : item.url,
    body: nothing,
    etag: ofLine(item, 'etag', item.etag),
    lastModified: ofLine(item, 'last-modified', item.lastModified),
  };
}

/** As a field line has it. */
function ofLine({ fields }: StoredResponse, name: string, value: string | undefined): string | undefined {
  const [line] = fieldLineValues(fields, name);
  return line === value ? line : value;
}
