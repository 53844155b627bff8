import { pipeline, Readable, type Transform } from 'node:stream';
import type { ContentDecoder } from '../cache/ports.ts';
import { UpstreamBodyError } from '../cache/upstream-ports.ts';
import { contentCodings } from '../core/content-coding.ts';
import { fieldValue, type FieldLines } from '../core/fields.ts';

/** More codings than this on top of each other is an attack or a fault; such a body is passed on as it is. */
const maxCodings = 4;

/** Codings that can be taken off. */
export type Coding = 'gzip' | 'deflate' | 'br' | 'zstd';

const codings: ReadonlyMap<string, Coding> = new Map([
  ['gzip', 'gzip'],
  ['deflate', 'deflate'],
  ['br', 'br'],
  ['zstd', 'zstd'],
]);

/**
 * The codings of a response in the order in which they were applied (RFC 9110 §8.4), `identity` left out;
 * `undefined` when one of them is not known or there are too many.
 */
export function codingsOf(fields: FieldLines): readonly Coding[] | undefined {
  const names = contentCodings(fieldValue(fields, 'content-encoding'));
  if (names.length === 0) return none;
  const known: Coding[] = [];
  for (const name of names) {
    const coding = codings.get(name);
    if (coding === undefined) return undefined;
    known.push(coding);
  }
  return known.length > maxCodings ? undefined : known;
}

const none: readonly Coding[] = [];

/** They stand in Content-Encoding by mistake, and the content is as it would be without them. */
const noCodings: ReadonlySet<string> = new Set(['utf-8', 'utf8', 'iso-8859-1', 'us-ascii', 'none', 'binary', '8bit']);

/** Whether content with these fields is in a coding, known or not: nothing can be found in it as it stands. */
export function isCoded(fields: FieldLines): boolean {
  return contentCodings(fieldValue(fields, 'content-encoding')).some((name) => !noCodings.has(name));
}

/** Takes codings off, the last applied first; bounded at each layer, so that neither result nor way there can explode. */
export function decodeStream(
  chunks: AsyncIterable<Buffer>,
  applied: readonly Coding[],
  maxBytes: number,
): AsyncIterable<Buffer> {
  return applied.toReversed().reduce((inner, coding) => decodeOne(inner, coding, maxBytes), chunks);
}

/** For stored codings that a client does not accept. */
export function createContentDecoder(): ContentDecoder {
  return {
    decode: (coding, body, maxBytes) => {
      const pieces = piecesOf(coding, body, maxBytes);
      return pieces && wholeOf(pieces);
    },
    pieces: piecesOf,
  };
}

function piecesOf(coding: string, body: Buffer, maxBytes: number): AsyncIterable<Buffer> | undefined {
  const applied = codingsOf([['content-encoding', coding]]);
  return applied && decodeStream(only(body), applied, maxBytes);
}

async function* only(body: Buffer): AsyncGenerator<Buffer, void, void> {
  yield body;
}

async function wholeOf(pieces: AsyncIterable<Buffer>): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of pieces) parts.push(part);
  return Buffer.concat(parts);
}

async function* decodeOne(
  chunks: AsyncIterable<Buffer>,
  coding: Coding,
  maxBytes: number,
): AsyncGenerator<Buffer, void, void> {
  const iterator = chunks[Symbol.asyncIterator]();
  const first = await firstBytes(iterator);
  // No content at all stands for an empty body in any coding; zlib would call it cut off.
  if (first === undefined) return;
  const decoder = createDecoder(coding, first);
  pipeline(Readable.from(startingWith(first, iterator), { objectMode: true }), decoder, () => {});
  let decoded = 0;
  try {
    for await (const chunk of decoder as AsyncIterable<Buffer>) {
      decoded += chunk.length;
      if (decoded > maxBytes) throw new UpstreamBodyError('too-large', 'the decoded body is larger than allowed');
      yield chunk;
    }
  } catch (error) {
    throw asBodyError(error);
  }
}

function createDecoder(coding: Coding, first: Buffer): Transform {
  const options = { chunkSize: 32 * 1024 };
  // Read with the first coded body: it takes 1.5 MiB of a process that only hands bodies on as they are.
  const zlib = process.getBuiltinModule('node:zlib');
  switch (coding) {
    case 'gzip':
      return zlib.createGunzip(options);
    case 'deflate':
      // "deflate" means the zlib format (RFC 9110 §8.4.1.2), but some servers send it raw; the method nibble tells.
      return ((first[0] ?? 0) & 0x0f) === 8 ? zlib.createInflate(options) : zlib.createInflateRaw(options);
    case 'br':
      return zlib.createBrotliDecompress(options);
    case 'zstd':
      // RFC 9659: at most 8 MiB of window for content coding; zlib's own default would let a body claim 128 MiB.
      return zlib.createZstdDecompress({ ...options, params: { [zlib.constants.ZSTD_d_windowLogMax]: 23 } });
  }
}

async function firstBytes(iterator: AsyncIterator<Buffer>): Promise<Buffer | undefined> {
  for (;;) {
    const next = await iterator.next();
    if (next.done === true) return undefined;
    if (next.value.length > 0) return next.value;
  }
}

async function* startingWith(first: Buffer, rest: AsyncIterator<Buffer>): AsyncGenerator<Buffer> {
  try {
    yield first;
    for (let next = await rest.next(); next.done !== true; next = await rest.next()) yield next.value;
  } finally {
    await rest.return?.();
  }
}

function asBodyError(error: unknown): unknown {
  if (error instanceof UpstreamBodyError || !(error instanceof Error)) return error;
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  if (code === 'Z_BUF_ERROR') return new UpstreamBodyError('truncated', 'the coded body ended before it was complete');
  return new UpstreamBodyError('malformed', 'the body does not match its content coding');
}
