import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { ByteCollector } from '../../src/cache/byte-collector.ts';

function filled(collector: ByteCollector, chunks: readonly Uint8Array[]): ByteCollector {
  for (const chunk of chunks) expect(collector.add(chunk)).toBe(true);
  return collector;
}

describe('collecting bytes', () => {
  it('gives what was added, in memory of exactly that size which is nobody else’s', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 20_000 }), { maxLength: 20 }),
        fc.option(fc.nat(100_000), { nil: undefined }),
        (chunks, length) => {
          const whole = Buffer.concat(chunks);
          const collector = filled(new ByteCollector({ maxBytes: 400_000, length }), chunks);
          expect(collector.bytes).toBe(whole.length);
          const taken = collector.take();
          expect(taken.equals(whole)).toBe(true);
          expect(taken.buffer.byteLength).toBe(whole.length);
        },
      ),
      { seed: 1, numRuns: 200 },
    );
  });

  it('gives its parts in order, each once', () => {
    const chunks = Array.from({ length: 5000 }, (_, index) => Buffer.from(String(index)));
    const collector = filled(new ByteCollector({ maxBytes: 100_000 }), chunks);
    const parts = collector.parts();
    expect(Buffer.concat(parts).equals(Buffer.concat(chunks))).toBe(true);
    expect(parts.length).toBeLessThan(10);
    expect([collector.bytes, collector.parts()]).toEqual([0, []]);
  });

  it('takes memory as bytes come: one piece for a whole of known length, or for one chunk', () => {
    const known = new ByteCollector({ maxBytes: 100_000, length: 50_000 });
    expect(known.held).toBe(0);
    filled(known, [Buffer.alloc(1)]);
    expect(known.held).toBe(50_000);
    const one = filled(new ByteCollector({ maxBytes: 100_000 }), [Buffer.alloc(9000)]);
    expect(one.held).toBe(9000);
  });

  it.each([65_536, 1_000_000])('holds no more than twice what came, and a little: %i bytes one by one', (maxBytes) => {
    const collector = new ByteCollector({ maxBytes });
    const byte = Buffer.alloc(1);
    for (let count = 1; count <= maxBytes; count += 1) {
      collector.add(byte);
      if (collector.held > 2 * count + 4096) throw new Error(`${collector.held} bytes are held of ${count}`);
    }
    expect(collector.held).toBe(maxBytes);
    expect(collector.take()).toHaveLength(maxBytes);
  });

  it('asks for each piece of memory before it takes it, and takes none that it may not', () => {
    const asked: number[] = [];
    const mayTake = (bytes: number): boolean => {
      asked.push(bytes);
      return asked.length < 3;
    };
    const collector = new ByteCollector({ maxBytes: 100_000, mayTake });
    expect([collector.add(Buffer.alloc(10)), collector.add(Buffer.alloc(10))]).toEqual([true, true]);
    expect(collector.held).toBe(asked[0] === undefined || asked[1] === undefined ? 0 : asked[0] + asked[1]);
    expect(collector.add(Buffer.alloc(50_000))).toBe(false);
    expect(asked).toHaveLength(3);
    expect(collector.held).toBe(10 + 4096);
  });
});
