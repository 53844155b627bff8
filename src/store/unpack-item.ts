import type { FieldLine } from '../core/fields.ts';
import type { StoredItem, StoredResponse, VaryMarker } from '../core/stored-response.ts';
import { baseKeyOf } from '../core/vary.ts';
import { NumberReader } from './number-bytes.ts';
import type { Origin } from './origins.ts';
import { firstValue, ownCopy, packed, packedFlags, validators } from './packed-item.ts';

/** Of the item that begins there: its length and its row. */
export function lengthAt(page: Buffer, offset: number): number {
  return page.readUInt32LE(offset);
}

export function rowOf(page: Buffer, offset: number): number {
  return page.readUInt32LE(offset + packed.row);
}

/** Whether the item that begins there is under the key. Makes no string. */
export function hasKey(page: Buffer, offset: number, key: string): boolean {
  const { length } = key;
  if (page.readUInt32LE(offset + packed.keyChars) !== length) return false;
  const isWide = ((page[offset + packed.flags] ?? 0) & packedFlags.wide) !== 0;
  const from = offset + packed.text;
  for (let at = 0; at < length; at += 1) {
    const code = isWide ? page.readUInt16LE(from + 2 * at) : page[from + at];
    if (key.charCodeAt(at) !== code) return false;
  }
  return true;
}

/**
 * Whether the URL of the item that begins there does; its key must be no variant's. Makes no string. `undefined`: its text is
 * of wide characters, and was not looked at.
 */
export function urlBeginsWith(page: Buffer, offset: number, prefix: string): boolean | undefined {
  if (((page[offset + packed.flags] ?? 0) & packedFlags.wide) !== 0) return undefined;
  const text = offset + packed.text;
  const keyChars = page.readUInt32LE(offset + packed.keyChars);
  const numbers = new NumberReader(page, text + page.readUInt32LE(offset + packed.textChars));
  const own = numbers.next();
  const shared = numbers.next();
  if (prefix.length > own + shared) return false;
  for (let at = 0; at < prefix.length; at += 1) {
    // Its own part follows the key; the rest is how the key ends.
    const from = at < own ? text + keyChars + at : text + keyChars - shared + at - own;
    if (page[from] !== prefix.charCodeAt(at)) return false;
  }
  return true;
}

export function keyAt(page: Buffer, offset: number): string {
  const chars = page.readUInt32LE(offset + packed.keyChars);
  return textOf(page, offset, chars);
}

/** What purges go by of the item that begins there. */
export function unpackScopes(page: Buffer, offset: number, origin: Origin): CommonParts {
  return commonParts(partsOf(page, offset), page.readUInt32LE(offset + packed.keyChars), origin);
}

/**
 * The item that begins there, with the body that is given. One in the page is copied, as pages are written anew: for good
 * into memory of its own (a piece of Node's pool would hold all of it), for once into the pool, which costs a third.
 */
export function unpackItem(
  page: Buffer,
  offset: number,
  origin: Origin,
  body: Buffer | 'for good' | 'for once',
): StoredItem {
  const bits = page[offset + packed.flags] ?? 0;
  const parts = partsOf(page, offset);
  const common = commonParts(parts, page.readUInt32LE(offset + packed.keyChars), origin);
  if ((bits & packedFlags.marker) !== 0) return { kind: 'vary', ...common, ...markerParts(parts) };
  const rest = responseParts(parts, bits, origin);
  if (typeof body === 'object') return { kind: 'response', ...common, ...rest, body };
  const bytes = page.subarray(parts.numbers.at, offset + lengthAt(page, offset));
  return { kind: 'response', ...common, ...rest, body: body === 'for good' ? ownCopy(bytes) : Buffer.from(bytes) };
}

type CommonParts = Pick<StoredItem, 'key' | 'route' | 'upstream' | 'url' | 'tags' | 'position'>;

function commonParts(parts: PartsReader, keyChars: number, { route, upstream, epoch }: Origin): CommonParts {
  const key = parts.take(keyChars);
  const url = parts.url(key);
  const tags = parts.list();
  return { key, route, upstream, url, tags, position: { epoch, seq: parts.numbers.next() } };
}

function partsOf(page: Buffer, offset: number): PartsReader {
  const chars = page.readUInt32LE(offset + packed.textChars);
  const isWide = ((page[offset + packed.flags] ?? 0) & packedFlags.wide) !== 0;
  const numbersAt = offset + packed.text + (isWide ? 2 * chars : chars);
  return new PartsReader(textOf(page, offset, chars), new NumberReader(page, numbersAt));
}

function textOf(page: Buffer, offset: number, chars: number): string {
  const isWide = ((page[offset + packed.flags] ?? 0) & packedFlags.wide) !== 0;
  const from = offset + packed.text;
  return isWide ? page.toString('utf16le', from, from + 2 * chars) : page.toString('latin1', from, from + chars);
}

/** Takes strings off a text by lengths that follow it. */
class PartsReader {
  readonly numbers: NumberReader;
  readonly #text: string;
  #at = 0;

  constructor(text: string, numbers: NumberReader) {
    this.#text = text;
    this.numbers = numbers;
  }

  take(length: number): string {
    this.#at += length;
    return this.#text.slice(this.#at - length, this.#at);
  }

  next(): string {
    return this.take(this.numbers.next());
  }

  list(): readonly string[] {
    const texts: string[] = [];
    for (let left = this.numbers.next(); left > 0; left -= 1) texts.push(this.next());
    return texts;
  }

  pairs(): readonly FieldLine[] {
    const pairs: FieldLine[] = [];
    for (let left = this.numbers.next(); left > 0; left -= 1) pairs.push([this.next(), this.next()]);
    return pairs;
  }

  url(key: string): string {
    const own = this.next();
    const shared = this.numbers.next();
    if (shared === 0) return own;
    const base = baseKeyOf(key);
    return own + base.slice(base.length - shared);
  }

  validator(fields: readonly FieldLine[], name: string): string | undefined {
    const code = this.numbers.next();
    if (code === validators.none) return undefined;
    return code === validators.asField ? firstValue(fields, name) : this.take(code - validators.own);
  }
}

function markerParts(parts: PartsReader): Pick<VaryMarker, 'names' | 'languages' | 'retainUntilMs'> {
  const names = parts.list();
  const languages = parts.numbers.next() === 0 ? {} : { languages: parts.pairs() };
  return { names, ...languages, retainUntilMs: parts.numbers.nextDouble() };
}

type ResponseParts = Omit<StoredResponse, 'kind' | 'key' | 'route' | 'upstream' | 'url' | 'tags' | 'position' | 'body'>;

function responseParts(parts: PartsReader, bits: number, { source }: Origin): ResponseParts {
  const { numbers: from } = parts;
  const status = from.next();
  const fields = parts.pairs();
  const etag = parts.validator(fields, 'etag');
  const lastModified = parts.validator(fields, 'last-modified');
  const responseTimeMs = from.nextDouble();
  const isExact = (bits & packedFlags.exactTimes) !== 0;
  const initialAgeMs = isExact ? from.nextDouble() : from.nextSigned40();
  const requestTimeMs = timeFrom(from, responseTimeMs, isExact);
  const freshness = {
    freshUntilMs: timeFrom(from, responseTimeMs, isExact),
    swrUntilMs: timeFrom(from, responseTimeMs, isExact),
    sieUntilMs: timeFrom(from, responseTimeMs, isExact),
    retainUntilMs: timeFrom(from, responseTimeMs, isExact),
    mustRevalidate: (bits & packedFlags.mustRevalidate) !== 0,
    alwaysValidate: (bits & packedFlags.alwaysValidate) !== 0,
    source,
  };
  return { status, fields, requestTimeMs, responseTimeMs, initialAgeMs, freshness, etag, lastModified };
}

function timeFrom(from: NumberReader, responseTimeMs: number, isExact: boolean): number {
  return isExact ? from.nextDouble() : responseTimeMs + from.nextSigned40();
}
