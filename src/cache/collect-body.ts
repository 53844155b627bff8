import { ByteCollector } from './byte-collector.ts';
import type { MaybePromise } from './ports.ts';
import { UpstreamBodyError, type UpstreamBody } from './upstream-ports.ts';
import type { FailureKind } from '../core/failure.ts';

/** What became of reading a body that is wanted whole. */
export type Collected =
  | { readonly kind: 'complete'; readonly bytes: Buffer }
  /** Larger than the limit: what was read so far, followed by the rest as it comes. */
  | { readonly kind: 'overflow'; readonly chunks: AsyncIterable<Buffer> }
  | { readonly kind: 'broken'; readonly failure: FailureKind; readonly detail: string };

/**
 * Reads a body up to `maxBytes`. A body past it is handed on as a stream, in bounded memory: what was collected plus
 * what is still to come. Never throws; an error of the body is a value.
 */
export function collectBody(body: UpstreamBody, maxBytes: number): MaybePromise<Collected> {
  if (body.length !== undefined && body.length > maxBytes) {
    body.streamed();
    return { kind: 'overflow', chunks: body.chunks() };
  }
  const gathered = body.gathered?.(maxBytes);
  if (gathered === undefined) return readBody(body, maxBytes);
  if (!(gathered instanceof Promise)) return { kind: 'complete', bytes: joined(gathered) };
  return gathered.then((pieces) =>
    pieces === undefined ? readBody(body, maxBytes) : { kind: 'complete', bytes: joined(pieces) },
  );
}

/**
 * One that came in one piece is given as it is, mostly the end of what was read with its head: a store that keeps it takes it in
 * memory of its own all the same, and copied here it took memory twice.
 */
function joined(pieces: readonly Buffer[]): Buffer {
  const [only] = pieces;
  if (only !== undefined && pieces.length === 1) return only;
  let length = 0;
  for (const piece of pieces) length += piece.length;
  const bytes = Buffer.allocUnsafeSlow(length);
  let offset = 0;
  for (const piece of pieces) {
    bytes.set(piece, offset);
    offset += piece.length;
  }
  return bytes;
}

async function readBody(body: UpstreamBody, maxBytes: number): Promise<Collected> {
  const iterator = body.chunks()[Symbol.asyncIterator]();
  const collector = new ByteCollector({ maxBytes, length: body.length });
  try {
    for (;;) {
      const next = await iterator.next();
      if (next.done === true) return { kind: 'complete', bytes: collector.take() };
      if (collector.bytes + next.value.length > maxBytes) {
        body.streamed();
        return { kind: 'overflow', chunks: continued([...collector.parts(), next.value], iterator) };
      }
      collector.add(next.value);
    }
  } catch (error) {
    if (error instanceof UpstreamBodyError) return { kind: 'broken', failure: error.failure, detail: error.message };
    throw error;
  }
}

async function* continued(first: Buffer[], rest: AsyncIterator<Buffer>): AsyncGenerator<Buffer> {
  // Emptied as it goes, so that what was sent can be freed.
  for (let chunk = first.shift(); chunk !== undefined; chunk = first.shift()) yield chunk;
  try {
    for (let next = await rest.next(); next.done !== true; next = await rest.next()) yield next.value;
  } finally {
    await rest.return?.();
  }
}
