import type { FieldLine } from '../core/fields.ts';
import type { StoredItem, StoredResponse, VaryMarker } from '../core/stored-response.ts';
import { baseKeyOf } from '../core/vary.ts';
import { NumberWriter } from './number-bytes.ts';

/**
 * An item as bytes: its length, its row, characters of the key and of all text (4 bytes each), flags, all text beginning
 * with the key, lengths and numbers in the order in which they are read, and the body unless it has a page of its own.
 */
export const packed = { row: 4, keyChars: 8, textChars: 12, flags: 16, text: 17 } as const;

export const packedFlags = { marker: 1, wide: 2, mustRevalidate: 4, alwaysValidate: 8, exactTimes: 16 } as const;

/** For `etag` and `last-modified`: there is none; it is what the field says; else its length and this. */
export const validators = { none: 0, asField: 1, own: 2 } as const;

const most40 = 2 ** 39 - 1;
const noBytes: Buffer = Buffer.alloc(0);

/** An item ready to be written. Good until the next is made. */
export interface PackedItem {
  readonly item: StoredItem;
  readonly text: string;
  readonly flags: number;
  /** Of the whole in its page. */
  readonly length: number;
  /** As it was given; `undefined`: it goes in the page with all else. */
  readonly ownBody: Buffer | undefined;
  /** Its text is in {@link front}, and so many bytes of the whole are to be; 0: it has to be written from `text`. */
  readonly frontBytes: number;
}

const numbers = new NumberWriter();

/** All text of the item that is being packed: V8 joins it when it is copied, and no list of parts is made. */
let gathered = '';

/**
 * All but its body of the item that was packed last, in the order in which it is written, where its text is ASCII and there is
 * room for it: one look at the text then both tells that and copies it, and it goes into its page in one piece.
 */
const front = Buffer.allocUnsafeSlow(16_384);
const frontText = front.subarray(packed.text);
const encoder = new TextEncoder();

/** `mostInline`: bytes of a body that goes into the page with all else. */
export function packItem(item: StoredItem, mostInline: number): PackedItem {
  numbers.reset();
  gathered = item.key;
  addUrl(item);
  addList(item.tags);
  numbers.add(item.position.seq);
  let bits = item.kind === 'vary' ? addMarker(item) : addResponse(item);
  const ownBody = item.kind === 'response' && item.body.byteLength > mostInline ? item.body : undefined;
  const text = gathered;
  gathered = '';
  const isAscii = isInFront(text);
  if (!isAscii && /[^\0-\u00FF]/.test(text)) bits |= packedFlags.wide;
  const textBytes = (bits & packedFlags.wide) === 0 ? text.length : text.length * 2;
  const inline = item.kind === 'response' && ownBody === undefined ? item.body.byteLength : 0;
  const length = packed.text + textBytes + numbers.length + inline;
  return { item, text, flags: bits, length, ownBody, frontBytes: isAscii ? length - inline : 0 };
}

/** Copies the text to {@link front}; false where it is not ASCII, or where it and the numbers have no room there. */
function isInFront(text: string): boolean {
  const { length } = text;
  if (length + numbers.length > frontText.length) return false;
  const { read, written } = encoder.encodeInto(text, frontText);
  return read === length && written === length;
}

/** Bytes that {@link packItem} is sure to say of a response, and no more than which it says, without packing it. */
export interface LengthBounds {
  readonly least: number;
  readonly most: number;
}

/** For a response whose body goes into the page with all else. */
export function boundsOf(item: StoredResponse): LengthBounds {
  const { key, url, tags, fields, body, etag = '', lastModified = '' } = item;
  let named = 0;
  for (const [name, value] of fields) named += name.length + value.length;
  const least = packed.text + key.length + named + body.byteLength;
  let others = url.length + etag.length + lastModified.length;
  for (const tag of tags) others += tag.length;
  // Two bytes for each unit of text, and of each number at most what a double takes and a byte more.
  const numbersAtMost = 32 + tags.length + 2 * fields.length;
  return { least, most: least + key.length + named + 2 * others + 9 * numbersAtMost };
}

/** Writes what {@link packItem} made last. */
export function writePacked(item: PackedItem, row: number, page: Buffer, offset: number): void {
  const at = item.frontBytes === 0 ? writeText(item, row, page, offset) : writeFront(item, row, page, offset);
  if (item.item.kind === 'response' && item.ownBody === undefined) item.item.body.copy(page, at);
}

function writeHead(item: PackedItem, row: number, page: Buffer, offset: number): void {
  page.writeUInt32LE(item.length, offset);
  page.writeUInt32LE(row, offset + packed.row);
  page.writeUInt32LE(item.item.key.length, offset + packed.keyChars);
  page.writeUInt32LE(item.text.length, offset + packed.textChars);
  page[offset + packed.flags] = item.flags;
}

/** Answers where the body is to be. */
function writeText(item: PackedItem, row: number, page: Buffer, offset: number): number {
  writeHead(item, row, page, offset);
  let at = offset + packed.text;
  at += page.write(item.text, at, (item.flags & packedFlags.wide) === 0 ? 'latin1' : 'utf16le');
  return at + numbers.bytes.copy(page, at, 0, numbers.length);
}

/** The same, where the text has been copied already. */
function writeFront(item: PackedItem, row: number, page: Buffer, offset: number): number {
  writeHead(item, row, front, 0);
  const { bytes, length } = numbers;
  const from = packed.text + item.text.length;
  for (let index = 0; index < length; index += 1) front[from + index] = bytes[index] ?? 0;
  return offset + front.copy(page, offset, 0, item.frontBytes);
}

function addText(text: string): void {
  numbers.add(text.length);
  gathered += text;
}

function addList(texts: readonly string[]): void {
  numbers.add(texts.length);
  for (const text of texts) addText(text);
}

function addPairs(pairs: readonly (readonly [string, string])[]): void {
  numbers.add(pairs.length);
  for (const [name, value] of pairs) {
    addText(name);
    addText(value);
  }
}

/** A URL nearly always is how its key ends. */
function addUrl({ key, url }: StoredItem): void {
  const base = baseKeyOf(key);
  if (base.endsWith(url)) {
    numbers.add(0);
    numbers.add(url.length);
    return;
  }
  const most = Math.min(base.length, url.length);
  let shared = 0;
  while (shared < most && base.charCodeAt(base.length - 1 - shared) === url.charCodeAt(url.length - 1 - shared)) {
    shared += 1;
  }
  addText(url.slice(0, url.length - shared));
  numbers.add(shared);
}

function addMarker(item: VaryMarker): number {
  addList(item.names);
  numbers.add(item.languages === undefined ? 0 : 1);
  if (item.languages !== undefined) addPairs(item.languages);
  numbers.addDouble(item.retainUntilMs);
  return packedFlags.marker;
}

function addResponse(item: StoredResponse): number {
  numbers.add(item.status);
  addPairs(item.fields);
  addValidator(item.etag, item.fields, 'etag');
  addValidator(item.lastModified, item.fields, 'last-modified');
  const { mustRevalidate, alwaysValidate } = item.freshness;
  const bits = (mustRevalidate ? packedFlags.mustRevalidate : 0) | (alwaysValidate ? packedFlags.alwaysValidate : 0);
  const { responseTimeMs, initialAgeMs } = item;
  const times = timesOf(item);
  numbers.addDouble(responseTimeMs);
  const isNear = isNearby(responseTimeMs, 0, Number.MAX_SAFE_INTEGER) && isNearby(initialAgeMs, 0, most40);
  if (!isNear || !times.every((time) => isNearby(time, responseTimeMs, most40))) {
    for (const time of [initialAgeMs, ...times]) numbers.addDouble(time);
    return bits | packedFlags.exactTimes;
  }
  numbers.addSigned40(initialAgeMs);
  for (const time of times) numbers.addSigned40(time - responseTimeMs);
  return bits;
}

/** All but the response's, from which they are not far. */
function timesOf(item: StoredResponse): readonly number[] {
  const { freshUntilMs, swrUntilMs, sieUntilMs, retainUntilMs } = item.freshness;
  return [item.requestTimeMs, freshUntilMs, swrUntilMs, sieUntilMs, retainUntilMs];
}

/** Whole and near enough for its distance to be kept. */
function isNearby(time: number, originMs: number, most: number): boolean {
  return Number.isSafeInteger(time) && Math.abs(time - originMs) <= most;
}

function addValidator(value: string | undefined, fields: StoredResponse['fields'], name: string): void {
  if (value === undefined) numbers.add(validators.none);
  else if (value === firstValue(fields, name)) numbers.add(validators.asField);
  else {
    numbers.add(value.length + validators.own);
    gathered += value;
  }
}

/** The value of the first line of that name. */
export function firstValue(fields: readonly FieldLine[], name: string): string | undefined {
  for (const line of fields) if (line[0] === name) return line[1];
  return undefined;
}

/** The bytes in memory that they alone use. */
export function ownCopy(bytes: Buffer): Buffer {
  if (bytes.byteLength === 0) return noBytes;
  const copy = Buffer.allocUnsafeSlow(bytes.byteLength);
  bytes.copy(copy);
  return copy;
}

/**
 * A Buffer may be a small view into a large allocation (a socket's chunk, Node's pool, what bodies from Redis are decompressed into):
 * storing the view would hold all of it and make the byte count a lie. Bodies that fill at least seven eighths of what they hold are not copied.
 */
export function ownBytes(body: Buffer): Buffer {
  if (body.buffer.byteLength - body.byteLength <= body.byteLength / 8) return body;
  return ownCopy(body);
}
