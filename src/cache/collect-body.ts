import { ByteCollector } from './byte-collector.ts';
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
export async function collectBody(body: UpstreamBody, maxBytes: number): Promise<Collected> {
  if (body.length !== undefined && body.length > maxBytes) {
    body.streamed();
    return { kind: 'overflow', chunks: body.chunks() };
  }
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
