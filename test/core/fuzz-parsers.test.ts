import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MAX_STRUCTURED_FIELD, readList } from '../../src/core/structured-field.ts';
import { parserProperties, unkindPieces, UNKIND_CHARACTERS } from './oracle/parser-properties.ts';

describe('parsers of what others send', () => {
  it.each(parserProperties)('$name: read any text, and as a slow reader does', ({ texts, check }) => {
    const property = fc.property(texts, check);
    expect(() => fc.assert(property, { seed: 9651, numRuns: 3000 })).not.toThrow();
  });

  it.each(parserProperties)('$name: take time by the length of a text, whatever is in it', ({ read }) => {
    for (const piece of unkindPieces) {
      for (const [before, after] of [
        ['', ''],
        ['a="', ''],
        ['"', '"'],
        ['', '"\\'],
        ['bytes=', '-'],
      ]) {
        const once = (characters: number): number =>
          cpuMs(() => read((before ?? '') + piece.repeat(Math.ceil(characters / piece.length)) + (after ?? '')));
        // A collection of garbage, or a machine that is busy with others, is not the text's: it does not come each time.
        const cost = (characters: number): number => {
          const first = once(characters);
          return first < 60 ? first : Math.min(first, once(characters), once(characters));
        };
        // 128 Ki characters, squared, are minutes: whatever is done in some milliseconds has not gone that way.
        const whole = cost(UNKIND_CHARACTERS);
        if (whole < 60) continue;
        const eighth = cost(UNKIND_CHARACTERS / 8);
        expect.soft(whole / eighth, `${JSON.stringify(piece)}, eight times as long`).toBeLessThan(32);
      }
    }
  });

  it('parse a structured field up to its limit, and ignore a longer one', () => {
    const longest = `"${'a'.repeat(MAX_STRUCTURED_FIELD - 2)}"`;
    expect(readList([longest])).toHaveLength(1);
    expect(readList([` ${longest}`])).toBeUndefined();
  });
});

/** Of this thread alone: a busy machine takes no part in it. */
function cpuMs(work: () => unknown): number {
  const before = process.threadCpuUsage();
  work();
  return process.threadCpuUsage(before).user / 1000;
}
