import { describe, expect, it } from 'vitest';

import { collectBody } from '../../src/cache/collect-body.ts';
import { type UpstreamBody, UpstreamBodyError } from '../../src/cache/upstream-ports.ts';

function bodyOf(pieces: readonly (string | Error)[], length?: number): UpstreamBody & { readonly calls: string[] } {
  const calls: string[] = [];
  return {
    calls,
    length,
    framed: true,
    async *chunks() {
      try {
        for (const piece of pieces) {
          if (piece instanceof Error) throw piece;
          yield Buffer.from(piece);
        }
      } finally {
        calls.push('closed');
      }
    },
    streamed: () => void calls.push('streamed'),
    cancel: () => void calls.push('cancelled'),
  };
}

function whole(...pieces: readonly Buffer[]): UpstreamBody {
  return { ...bodyOf([]), gathered: () => pieces };
}

async function text(chunks: AsyncIterable<Buffer>): Promise<string> {
  let all = '';
  for await (const chunk of chunks) all += chunk.toString();
  return all;
}

describe('collecting a body', () => {
  it('gives a body up to the limit whole, in memory that is its own', async () => {
    const collected = await collectBody(bodyOf(['ab', 'c']), 3);
    expect(collected).toEqual({ kind: 'complete', bytes: Buffer.from('abc') });
    expect(collected.kind === 'complete' && collected.bytes.buffer.byteLength).toBe(3);
  });

  it('gives a body that came in one piece as it came, and one of several joined', async () => {
    const piece = Buffer.from('abc');
    const one = await collectBody(whole(piece), 3);
    expect(one.kind === 'complete' && one.bytes === piece).toBe(true);
    expect(await collectBody(whole(piece, piece), 6)).toEqual({ kind: 'complete', bytes: Buffer.from('abcabc') });
    expect(await collectBody(whole(), 0)).toEqual({ kind: 'complete', bytes: Buffer.alloc(0) });
  });

  it('gives nothing as an empty buffer', async () => {
    expect(await collectBody(bodyOf([]), 0)).toEqual({ kind: 'complete', bytes: Buffer.alloc(0) });
  });

  it('hands one byte past the limit on as a stream, with what was read in front', async () => {
    const body = bodyOf(['ab', 'cd', 'ef']);
    const collected = await collectBody(body, 3);
    expect(body.calls).toEqual(['streamed']);
    expect(collected.kind === 'overflow' && (await text(collected.chunks))).toBe('abcdef');
    expect(body.calls).toEqual(['streamed', 'closed']);
  });

  it('keeps what came in short chunks in few pieces', async () => {
    const body = bodyOf(Array.from({ length: 5000 }, () => 'x'));
    const collected = await collectBody(body, 4999);
    const sizes: number[] = [];
    if (collected.kind === 'overflow') for await (const chunk of collected.chunks) sizes.push(chunk.length);
    expect(sizes).toEqual([1, 4096, 902, 1]);
  });

  it('does not read a body whose length is past the limit before it is asked for', async () => {
    const body = bodyOf(['abcd'], 4);
    const collected = await collectBody(body, 3);
    expect(body.calls).toEqual(['streamed']);
    expect(collected.kind === 'overflow' && (await text(collected.chunks))).toBe('abcd');
  });

  it('closes the body when a reader of the stream leaves early', async () => {
    const body = bodyOf(['ab', 'cd', 'ef']);
    const collected = await collectBody(body, 1);
    if (collected.kind !== 'overflow') throw new Error('expected a stream');
    for await (const chunk of collected.chunks) if (chunk.toString() === 'cd') break;
    expect(body.calls).toEqual(['streamed', 'closed']);
  });

  it('says how a body broke off', async () => {
    const broken = bodyOf(['ab', new UpstreamBodyError('truncated', 'cut')]);
    expect(await collectBody(broken, 10)).toEqual({ kind: 'broken', failure: 'truncated', detail: 'cut' });
  });

  it('lets a bug through', async () => {
    await expect(collectBody(bodyOf([new TypeError('a bug')]), 10)).rejects.toThrow('a bug');
  });

  it('takes a body that has come whole in one step, in memory of its own', () => {
    const slab = Buffer.from('xabcx');
    const body = { ...bodyOf(['never read']), gathered: () => [slab.subarray(1, 3), slab.subarray(3, 4)] };
    const collected = collectBody(body, 3);
    expect(collected).toEqual({ kind: 'complete', bytes: Buffer.from('abc') });
    const bytes = 'kind' in collected && collected.kind === 'complete' ? collected.bytes : undefined;
    expect(bytes?.buffer.byteLength).toBe(3);
    slab.fill('-');
    expect(bytes?.toString()).toBe('abc');
  });

  it('reads piece by piece what cannot be had whole, known at once or late', async () => {
    for (const none of [undefined, Promise.resolve(undefined)]) {
      const asked: number[] = [];
      const gathered = (maxBytes: number) => {
        asked.push(maxBytes);
        return none;
      };
      const collected = await collectBody({ ...bodyOf(['ab', 'cd']), gathered }, 3);
      expect(collected.kind === 'overflow' && (await text(collected.chunks))).toBe('abcd');
      expect(asked).toEqual([3]);
    }
  });
});
