import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MAX_STRUCTURED_FIELD, readList } from '../../src/core/structured-field.ts';
import { parserProperties, unkindPieces, UNKIND_CHARACTERS } from './oracle/parser-properties.ts';

describe('parsers of what others send', () => {
  it.each(parserProperties)('$name: read any text, and as a slow reader does', ({ texts, check }) => {
    const property = fc.property(texts, check);
    expect(() => fc.assert(property, { seed: 9651, numRuns: 3000 })).not.toThrow();
  });

  it.each(parserProperties)('$name: take time by the length of a text, whatever is in it', ({ read, longest }) => {
    // What is longer is not looked into, and costs nothing whatever it is.
    const characters = Math.min(longest ?? UNKIND_CHARACTERS, UNKIND_CHARACTERS);
    for (const piece of unkindPieces) {
      for (const [before, after] of [
        ['', ''],
        ['a="', ''],
        ['"', '"'],
        ['', '"\\'],
        ['bytes=', '-'],
        ['', '@'],
      ] as const) {
        const room = characters - before.length - after.length;
        const textOf = (part: number): string => before + piece.repeat(Math.floor(room / part / piece.length)) + after;
        const once = (part: number): number => cpuMs(() => read(textOf(part)));
        // A collection of garbage, or a machine that is busy with others, is not the text's: it does not come each time.
        const cost = (part: number): number => {
          const first = once(part);
          return first < 60 ? first : Math.min(first, once(part), once(part));
        };
        // 128 Ki characters, squared, are minutes, and 16 Ki are hundreds of milliseconds: what takes some has not gone that way.
        const whole = cost(1);
        if (whole < 60) continue;
        const eighth = cost(8);
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
