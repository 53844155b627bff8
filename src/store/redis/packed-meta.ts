import type { FieldLine } from '../../core/fields.ts';
import { isHopByHopName } from '../../core/hop-by-hop.ts';
import type { Freshness, Position, StoredResponse } from '../../core/stored-response.ts';
import { isNameUnit, sinceTimes } from './value-meta.ts';

/*
 * What version 2 of a value says of a response, all little-endian, texts in printable ASCII:
 *
 *   0  6 × 8  initial age, and as in JSON from the request time on: response, freshUntil, swrUntil, sieUntil, retainUntil
 *  48  4, 4   bytes of the body as it is stored, and as it is served
 *  56  2      status
 *  58  1, 1   marks (1: mustRevalidate, 2: alwaysValidate); what is there (1: ETag, 2: Last-Modified)
 *  60  2, 2   how many tags and fields
 *  64  7 × 2  lengths of key, URL, route, upstream, source, ETag, Last-Modified; 2 bytes of 0
 *  80         2 for each tag: its length; 2, 2 for each field: those of its name and value; zeros to a multiple of 4
 *             the texts, one behind the other in the order of their lengths
 */
const countsAt = 48;
const lengthsAt = 64;
const tagsAt = 80;
const texts = 7;

/** Where a meta is copied to, to be read by words: as `DataView` and `Int32Array` are read without a call. */
const copy = new Uint8Array(8192);
const words = new Int32Array(copy.buffer);
const view = new DataView(copy.buffer);

/** What is longer, or says anything that is not printable ASCII, is written as JSON (version 1). */
export const maxPackedBytes = 8192 - 4;

const hasEtag = 1;
const hasLastModified = 2;

/** Lengths of the body: as stored, as served. */
interface BodyLengths {
  readonly n: number;
  readonly b: number;
}

/** `undefined`: it has to be written as JSON. */
export function packedMeta(item: StoredResponse, { n, b }: BodyLengths, requestTimeMs: number): Buffer | undefined {
  const { tags, fields } = item;
  const fixed = fixedTexts(item);
  const all = [...fixed, ...tags, ...fields.flat()];
  const textAt = textBegin(tags.length, fields.length);
  const text = all.join('');
  if (textAt + text.length > maxPackedBytes || Math.max(n, b) > 0xffff_ffff || !/^[\x20-\x7e]*$/.test(text))
    return undefined;
  const meta = Buffer.alloc(textAt + text.length);
  const numbers = [item.initialAgeMs, ...sinceTimes(item, requestTimeMs)];
  for (const [index, number] of numbers.entries()) meta.writeDoubleLE(number, index * 8);
  meta.writeUInt32LE(n, countsAt);
  meta.writeUInt32LE(b, countsAt + 4);
  meta.writeUInt16LE(item.status, countsAt + 8);
  meta[countsAt + 10] = marksOf(item.freshness);
  meta[countsAt + 11] = thereOf(item);
  meta.writeUInt16LE(tags.length, countsAt + 12);
  meta.writeUInt16LE(fields.length, countsAt + 14);
  for (const [index, { length }] of all.entries()) {
    meta.writeUInt16LE(length, index < texts ? lengthsAt + index * 2 : tagsAt + (index - texts) * 2);
  }
  meta.write(text, textAt, 'latin1');
  return meta;
}

function fixedTexts({ key, url, route, upstream, freshness, etag = '', lastModified = '' }: StoredResponse): string[] {
  return [key, url, route, upstream, freshness.source, etag, lastModified];
}

function marksOf({ mustRevalidate, alwaysValidate }: Freshness): number {
  return (mustRevalidate ? 1 : 0) + (alwaysValidate ? 2 : 0);
}

function thereOf({ etag, lastModified }: StoredResponse): number {
  return (etag === undefined ? 0 : hasEtag) + (lastModified === undefined ? 0 : hasLastModified);
}

function textBegin(tags: number, fields: number): number {
  return (tagsAt + 2 * tags + 4 * fields + 3) & ~3;
}

/** What is known of a response beside its meta. */
interface Framing {
  /** That is looked for. */
  readonly key: string;
  readonly body: Buffer;
  readonly position: Position;
  readonly requestTimeMs: number;
}

/** What a meta says. */
export interface Unpacked {
  readonly item: StoredResponse;
  readonly n: number;
  readonly b: number;
}

/** Bytes of the body as it is stored, of a meta of which nothing is known to be right. */
export function bodyBytesSaid(value: Buffer, begin: number, end: number): number {
  return end - begin < tagsAt ? 0 : value.readUInt32LE(begin + countsAt);
}

/** Bytes of the body as it is stored, and as it is served, of a meta that was read. */
export function bodyLengths(value: Buffer, begin: number): readonly [stored: number, served: number] {
  return [value.readUInt32LE(begin + countsAt), value.readUInt32LE(begin + countsAt + 4)];
}

/** `undefined` for what is not written so; `collision`: it is another key's. Never throws. */
export function unpackedMeta(
  value: Buffer,
  [begin, end]: readonly [number, number],
  { key, body, position, requestTimeMs }: Framing,
): Unpacked | 'collision' | undefined {
  const bytes = end - begin;
  if (bytes < tagsAt || bytes > maxPackedBytes) return undefined;
  value.copy(copy, 0, begin, end);
  const tagCount = view.getUint16(countsAt + 12, true);
  const fieldCount = view.getUint16(countsAt + 14, true);
  const textAt = textBegin(tagCount, fieldCount);
  if (textAt > bytes || !isPrintable(textAt, bytes) || !areNumbers()) return undefined;
  if (textAt + lengthsOf(0, texts + tagCount + 2 * fieldCount) !== bytes) return undefined;
  const text = value.toString('latin1', begin + textAt, end);
  const urlAt = lengthOf(0);
  if (text.slice(0, urlAt) !== key) return 'collision';
  const routeAt = urlAt + lengthOf(1);
  const upstreamAt = routeAt + lengthOf(2);
  const sourceAt = upstreamAt + lengthOf(3);
  const etagAt = sourceAt + lengthOf(4);
  const modifiedAt = etagAt + lengthOf(5);
  const tagTextAt = modifiedAt + lengthOf(6);
  const fieldTextAt = tagTextAt + lengthsOf(texts, tagCount);
  const fields = fieldsIn(text, { from: fieldTextAt, first: texts + tagCount, count: fieldCount, textAt });
  if (fields === undefined) return undefined;
  const marks = copy[countsAt + 10] ?? 0;
  return {
    n: view.getUint32(countsAt, true),
    b: view.getUint32(countsAt + 4, true),
    // The same names in the same order as in `responseOf`, so that all are of one shape.
    item: {
      kind: 'response',
      // The very text that is looked for, whose hash is known.
      key,
      route: text.slice(routeAt, upstreamAt),
      upstream: text.slice(upstreamAt, sourceAt),
      url: text.slice(urlAt, routeAt),
      tags: tagsIn(text, tagTextAt, tagCount),
      position,
      status: view.getUint16(countsAt + 8, true),
      fields,
      body,
      requestTimeMs,
      responseTimeMs: requestTimeMs + view.getFloat64(8, true),
      initialAgeMs: view.getFloat64(0, true),
      freshness: {
        freshUntilMs: requestTimeMs + view.getFloat64(16, true),
        swrUntilMs: requestTimeMs + view.getFloat64(24, true),
        sieUntilMs: requestTimeMs + view.getFloat64(32, true),
        retainUntilMs: requestTimeMs + view.getFloat64(40, true),
        mustRevalidate: (marks & 1) !== 0,
        alwaysValidate: (marks & 2) !== 0,
        source: text.slice(sourceAt, etagAt),
      },
      etag: ifThere(hasEtag, text.slice(etagAt, modifiedAt)),
      lastModified: ifThere(hasLastModified, text.slice(modifiedAt, tagTextAt)),
    },
  };
}

function ifThere(what: number, text: string): string | undefined {
  return ((copy[countsAt + 11] ?? 0) & what) === 0 ? undefined : text;
}

/** Of the text of this number, among all that are there. */
function lengthOf(index: number): number {
  return view.getUint16(index < texts ? lengthsAt + index * 2 : tagsAt + (index - texts) * 2, true);
}

function lengthsOf(first: number, count: number): number {
  let sum = 0;
  for (let index = first; index < first + count; index += 1) sum += lengthOf(index);
  return sum;
}

function tagsIn(text: string, from: number, count: number): string[] {
  const tags: string[] = [];
  let at = from;
  for (let index = texts; index < texts + count; index += 1) {
    const end = at + lengthOf(index);
    tags.push(text.slice(at, end));
    at = end;
  }
  return tags;
}

interface FieldTexts {
  /** Where in the text they begin. */
  readonly from: number;
  /** Number of the first one's name. */
  readonly first: number;
  readonly count: number;
  /** Where in the meta the text begins. */
  readonly textAt: number;
}

/** `undefined`: a name is none. */
function fieldsIn(text: string, { from, first, count, textAt }: FieldTexts): FieldLine[] | undefined {
  const fields: FieldLine[] = [];
  let at = from;
  for (let index = first; index < first + 2 * count; index += 2) {
    const nameLength = lengthOf(index);
    const end = at + nameLength + lengthOf(index + 1);
    const line =
      keptLine(textAt + at, textAt + end, nameLength) ?? lineOf(text.slice(at, end), textAt + at, nameLength);
    if (line === undefined) return undefined;
    fields.push(line);
    at = end;
  }
  return fields;
}

/** A line that was met before. */
interface KeptLine {
  /** Name and value. */
  readonly text: string;
  readonly line: FieldLine;
}

/** Most lines are those of many responses: their texts are made, looked through and hashed once. */
const keptLines: (KeptLine | undefined)[] = Array.from({ length: 256 }, () => undefined);

/** Longer ones are not kept, so that all of them take some 100 KB. */
export const maxKeptLine = 128;

/** Of bytes by which lines differ: at both ends, and among the seconds of a Date. */
function placeOf(from: number, end: number, nameLength: number): number {
  const ends = (copy[from] ?? 0) + (copy[end - 1] ?? 0) * 3 + (copy[end - 5] ?? 0) * 5 + (copy[end - 6] ?? 0) * 37;
  return (ends + nameLength * 11 + (end - from) * 101) & (keptLines.length - 1);
}

function keptLine(from: number, end: number, nameLength: number): FieldLine | undefined {
  const kept = keptLines[placeOf(from, end, nameLength)];
  if (kept === undefined) return undefined;
  const { text, line } = kept;
  if (text.length !== end - from || line[0].length !== nameLength) return undefined;
  for (let at = 0; at < text.length; at += 1) if (text.charCodeAt(at) !== copy[from + at]) return undefined;
  return line;
}

/** `from`: where in the meta it is. What is kept was looked through, and is not again. */
function lineOf(slice: string, from: number, nameLength: number): FieldLine | undefined {
  if (nameLength === 0) return undefined;
  for (let unit = from; unit < from + nameLength; unit += 1) if (isNameUnit[copy[unit] ?? 0] !== 1) return undefined;
  const isKept = slice.length <= maxKeptLine;
  // Not a part of the text of a whole meta, which would live as long as the line does.
  const text = isKept ? Buffer.from(slice, 'latin1').toString('latin1') : slice;
  const line: FieldLine = [text.slice(0, nameLength), text.slice(nameLength)];
  // Nothing is stored with a field of one connection; from here it would be sent to others as ours.
  if (isHopByHopName(line[0])) return undefined;
  if (isKept) keptLines[placeOf(from, from + text.length, nameLength)] = { text, line };
  return line;
}

const highBits = 0x8080_8080 | 0;
const spaces = 0x2020_2020;
const dels = 0x7f7f_7f7f;

/** Whether all bytes of the texts are from 0x20 to 0x7e: four at a time, as one by one it took as long as all else here. */
function isPrintable(from: number, end: number): boolean {
  for (let at = end; (at & 3) !== 0; at += 1) copy[at] = 0x20;
  let high = 0;
  let low = highBits;
  for (let at = from >> 2; at < (end + 3) >> 2; at += 1) {
    const word = words[at] ?? 0;
    high |= word;
    // No byte borrows from or carries into another, as long as none has its highest bit, which is what `high` tells.
    low &= ((word | highBits) - spaces) & ((word ^ dels) + dels);
  }
  return (high & highBits) === 0 && (low & highBits) === highBits;
}

/** Whether the numbers are such as are written. */
function areNumbers(): boolean {
  const ageMs = view.getFloat64(0, true);
  if (!Number.isFinite(ageMs) || ageMs < 0) return false;
  for (let at = 8; at < countsAt; at += 8) if (!Number.isSafeInteger(view.getFloat64(at, true))) return false;
  // Codes past 599 mean nothing (RFC 9110 §15), and are passed on and stored as any that is not known.
  const status = view.getUint16(countsAt + 8, true);
  return status >= 200 && status <= 999;
}
