import { crc32 } from 'node:zlib';

import type { FleetEvent } from '../../cache/fleet-ports.ts';
import type { MaybePromise } from '../../cache/ports.ts';
import type { Position, StoredItem, StoredResponse } from '../../core/stored-response.ts';
import { responseWith } from './as-asked.ts';
import { decompressed } from './compress.ts';
import { bodyBytesSaid, bodyLengths, packedMeta, unpackedMeta } from './packed-meta.ts';
import { bareMarker, isPrintable, metaText, parseMeta, responseOf, type ValueMeta } from './value-meta.ts';

/**
 * A value in Redis: a header of 28 bytes (`FC`, version, flags, epoch 8, seq 6, request time 6, length of the meta 4, all
 * big-endian), the meta as JSON (version 1) or as `packed-meta.ts` has it (version 2, of responses alone), the body, and a CRC-32 of all of it. Scripts compare headers and read nothing else. Times are
 * on the clock of Redis, so that processes whose clocks differ agree.
 */
export const headBytes = 28;
const crcBytes = 4;
const jsonVersion = 1;
const packedVersion = 2;
const flagCompressed = 1;
const flagMarker = 2;
const maxTimeMs = 2 ** 48 - 1;

/** A body becomes at most so many times `maxObjectBytes` when it is decompressed; what is larger is never written. */
export const maxExpansion = 16;

export type UnusableReason = Extract<FleetEvent, { kind: 'unusable' }>['reason'];

export type Decoded =
  | { readonly kind: 'item'; readonly item: StoredItem }
  | { readonly kind: 'unusable'; readonly reason: UnusableReason };

export interface DecodeOptions {
  /** The key that is looked for. */
  readonly key: string;
  /** Clock of Redis less that of this process. */
  readonly skewMs: number;
  /** Bytes of a body at most. */
  readonly maxBodyBytes: number;
}

/** How the body of an item is stored. */
export interface StoredBody {
  readonly bytes: Buffer;
  readonly isCompressed: boolean;
}

/** The first {@link headBytes} of the item's value. Throws RangeError for an epoch that is not 16 hex digits. */
export function encodeHead(
  item: StoredItem,
  skewMs: number,
  extra?: { metaBytes: number; isCompressed: boolean },
): Buffer {
  const { epoch, seq } = item.position;
  if (!/^[0-9a-f]{16}$/.test(epoch)) throw new RangeError('an epoch has 16 hex digits');
  const head = Buffer.alloc(headBytes);
  head.write('FC', 'latin1');
  head[2] = jsonVersion;
  head[3] = (item.kind === 'vary' ? flagMarker : 0) + (extra?.isCompressed === true ? flagCompressed : 0);
  head.write(epoch, 4, 'hex');
  head.writeUIntBE(seq, 12, 6);
  head.writeUIntBE(requestTimeOn(item, skewMs), 18, 6);
  head.writeUInt32BE(extra?.metaBytes ?? 0, 24);
  return head;
}

/** A marker has no request time of its own. */
function requestTimeOn(item: StoredItem, skewMs: number): number {
  if (item.kind === 'vary') return 0;
  return Math.min(Math.max(0, Math.round(item.requestTimeMs) + Math.round(skewMs)), maxTimeMs);
}

/** The item's value, with its body as given. */
export function encodeItem(item: StoredItem, body: StoredBody, skewMs: number): Buffer {
  const served = item.kind === 'response' ? item.body.byteLength : 0;
  // Times in the meta count from the request's; a marker's from 0, on the clock of Redis too.
  const originMs = item.kind === 'response' ? Math.round(item.requestTimeMs) : -Math.round(skewMs);
  const lengths = { n: body.bytes.byteLength, b: served };
  const packed = item.kind === 'response' ? packedMeta(item, lengths, originMs) : undefined;
  const meta = packed ?? Buffer.from(metaText(item, lengths, originMs));
  const head = encodeHead(item, skewMs, { metaBytes: meta.byteLength, isCompressed: body.isCompressed });
  if (packed !== undefined) head[2] = packedVersion;
  const value = Buffer.allocUnsafe(headBytes + meta.byteLength + body.bytes.byteLength + crcBytes);
  head.copy(value);
  meta.copy(value, headBytes);
  body.bytes.copy(value, headBytes + meta.byteLength);
  const crcAt = value.byteLength - crcBytes;
  value.writeUInt32BE(crc32(value.subarray(0, crcAt)), crcAt);
  return value;
}

/**
 * The item of a value, or why there is none. A body that is not compressed is a view of the value, and a small one that is lies in one
 * piece of memory with others, since most are sent and not kept: who keeps it copies it, as the memory tier does. Never throws or
 * rejects, whatever the bytes are. A promise only where a large body has to be decompressed.
 */
export function decodeItem(value: Buffer, options: DecodeOptions): MaybePromise<Decoded> {
  return value[2] === packedVersion ? decodePacked(value, options) : decodeJson(value, options);
}

function decodePacked(value: Buffer, { key, skewMs, maxBodyBytes }: DecodeOptions): MaybePromise<Decoded> {
  const refusal = headRefusal(value);
  if (refusal !== undefined) return unusable(refusal);
  const metaEnd = headBytes + value.readUInt32BE(24);
  const crcAt = value.byteLength - crcBytes;
  if (metaEnd > crcAt) return unusable('truncated');
  if (crc32(value.subarray(0, crcAt)) !== value.readUInt32BE(crcAt)) {
    return unusable(metaEnd + bodyBytesSaid(value, headBytes, metaEnd) > crcAt ? 'truncated' : 'checksum');
  }
  const flags = value[3] ?? 0;
  if ((flags & flagMarker) !== 0) return unusable('foreign');
  const requestTimeMs = value.readUIntBE(18, 6) - Math.round(skewMs);
  const body = value.subarray(metaEnd, crcAt);
  const meta = unpackedMeta(value, [headBytes, metaEnd], { key, body, position: positionOf(value), requestTimeMs });
  if (meta === 'collision') return unusable(meta);
  if (meta === undefined || meta.n !== body.byteLength) return unusable('foreign');
  const { n, b } = meta;
  return withBody(
    { item: meta.item, stored: body },
    { n, b, isCompressed: (flags & flagCompressed) !== 0 },
    maxBodyBytes,
  );
}

/** Where the parts of a value are whose meta is packed, and how its body is stored. */
export interface ValueFrame extends BodyForm {
  /** Where its body begins. */
  readonly metaEnd: number;
  /** The checksum of all before that. */
  readonly metaCrc: number;
}

/** Of a value that {@link decodeItem} has read. `undefined`: its meta is JSON, or head and meta are more than so many bytes. */
export function frameOf(value: Buffer, mostBytes: number): ValueFrame | undefined {
  if (value[2] !== packedVersion) return undefined;
  const metaEnd = headBytes + value.readUInt32BE(24);
  if (metaEnd > mostBytes) return undefined;
  const [n, b] = bodyLengths(value, headBytes);
  const metaCrc = crc32(value.subarray(0, metaEnd));
  return { metaEnd, metaCrc, n, b, isCompressed: ((value[3] ?? 0) & flagCompressed) !== 0 };
}

/** The body as it is stored, of a value that begins with that very head and meta; `undefined` where it is not whole. */
export function wholeBody(value: Buffer, { metaEnd, n, metaCrc }: ValueFrame): Buffer | undefined {
  const crcAt = metaEnd + n;
  if (value.byteLength !== crcAt + crcBytes) return undefined;
  const stored = value.subarray(metaEnd, crcAt);
  return crc32(stored, metaCrc) === value.readUInt32BE(crcAt) ? stored : undefined;
}

function decodeJson(value: Buffer, options: DecodeOptions): MaybePromise<Decoded> {
  const framed = unframe(value);
  if (typeof framed === 'string') return unusable(framed);
  const { meta, flags, printable, stored } = framed;
  if (meta.k !== options.key) return unusable('collision');
  const skewMs = Math.round(options.skewMs);
  const originMs = value.readUIntBE(18, 6) - skewMs;
  const position = positionOf(value);
  if ((flags & flagMarker) !== 0) {
    const bare = bareMarker(meta, originMs);
    return bare === undefined ? unusable('foreign') : { kind: 'item', item: { ...bare, position } };
  }
  // Decompressing is the dearest part: what is no response is not decompressed.
  const item = responseOf(meta, { position, requestTimeMs: originMs, printable }, stored);
  if (item === undefined) return unusable('foreign');
  const { n, b } = meta;
  return withBody({ item, stored }, { n, b, isCompressed: (flags & flagCompressed) !== 0 }, options.maxBodyBytes);
}

interface BodyForm {
  /** Bytes as it is stored, and as it is served. */
  readonly n: number;
  readonly b: number;
  readonly isCompressed: boolean;
}

interface Bodied {
  /** Its body is any. */
  readonly item: StoredResponse;
  /** The body as it is stored. */
  readonly stored: Buffer;
}

/** The item with its body as it is served. */
export function withBody(
  { item, stored }: Bodied,
  { n, b, isCompressed }: BodyForm,
  maxBodyBytes: number,
): MaybePromise<Decoded> {
  if (b > maxBodyBytes) return unusable('coding');
  if (!isCompressed) return n === b ? decodedWith(item, stored) : unusable('coding');
  const body = decompressed(stored, b);
  return body instanceof Promise ? body.then((late) => decodedWith(item, late)) : decodedWith(item, body);
}

function decodedWith(item: StoredResponse, body: Buffer | undefined): Decoded {
  if (body === undefined) return unusable('coding');
  const isThere = item.body === body;
  return { kind: 'item', item: isThere ? item : responseWith(item, item.tags, body, item.freshness) };
}

const lastRead = { epochHigh: 0, epochLow: 0, seqHigh: 0, seqLow: 0, position: { epoch: '0'.repeat(16), seq: 0 } };

/** Between two purges all that is stored has one position: it is made once. */
function positionOf(value: Buffer): Position {
  const epochHigh = value.readUInt32BE(4);
  const epochLow = value.readUInt32BE(8);
  const seqHigh = value.readUInt16BE(12);
  const seqLow = value.readUInt32BE(14);
  const isEpoch = epochHigh === lastRead.epochHigh && epochLow === lastRead.epochLow;
  if (isEpoch && seqHigh === lastRead.seqHigh && seqLow === lastRead.seqLow) return lastRead.position;
  const position = { epoch: value.toString('hex', 4, 12), seq: value.readUIntBE(12, 6) };
  Object.assign(lastRead, { epochHigh, epochLow, seqHigh, seqLow, position });
  return position;
}

interface Framed {
  readonly flags: number;
  readonly meta: ValueMeta & Readonly<Record<string, unknown>>;
  readonly printable: boolean;
  readonly stored: Buffer;
}

function unframe(value: Buffer): Framed | UnusableReason {
  const refusal = headRefusal(value);
  if (refusal !== undefined) return refusal;
  const metaEnd = headBytes + value.readUInt32BE(24);
  const crcAt = value.byteLength - crcBytes;
  if (metaEnd > crcAt) return 'truncated';
  const isWhole = crc32(value.subarray(0, crcAt)) === value.readUInt32BE(crcAt);
  const text = value.toString('utf8', headBytes, metaEnd);
  const meta = parseMeta(text);
  if (meta === undefined) return isWhole ? 'foreign' : 'checksum';
  if (!isWhole) return metaEnd + meta.n > crcAt ? 'truncated' : 'checksum';
  if (metaEnd + meta.n !== crcAt) return 'foreign';
  const printable = isPrintable(text, metaEnd - headBytes);
  return { flags: value[3] ?? 0, meta, printable, stored: value.subarray(metaEnd, crcAt) };
}

function headRefusal(value: Buffer): UnusableReason | undefined {
  // A value cut to one byte, or none, is cut.
  if ((value[0] ?? 0x46) !== 0x46 || (value[1] ?? 0x43) !== 0x43) return 'foreign';
  if (value.byteLength > 2 && value[2] !== jsonVersion && value[2] !== packedVersion) return 'version';
  if (value.byteLength < headBytes + crcBytes) return 'truncated';
  return (value[3] ?? 0) > (flagCompressed | flagMarker) ? 'version' : undefined;
}

function unusable(reason: UnusableReason): Decoded {
  return { kind: 'unusable', reason };
}
