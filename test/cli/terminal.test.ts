import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { printable, printableJson, printableLine, table } from '../../src/cli/terminal.ts';

describe('text for a terminal', () => {
  test.each([
    ['\u001b[31mred\u001b[0m', '\\u{1b}[31mred\\u{1b}[0m'],
    ['a\rb\tc\u0007', 'a\\u{d}b\\u{9}c\\u{7}'],
    ['\u009b2J', '\\u{9b}2J'],
    ['abc\u202edef', 'abc\\u{202e}def'],
    ['\ud800', '\\u{d800}'],
    ['two\nlines', 'two\nlines'],
    ['São Paulo, 東京 🌦', 'São Paulo, 東京 🌦'],
  ])('%j is printed as %j', (text, shown) => {
    expect(printable(text)).toBe(shown);
  });

  test('on one line a line feed is escaped as well', () => {
    expect(printableLine('a\nexit code 0')).toBe('a\\nexit code 0');
  });

  test('nothing that it prints can steer a terminal', () => {
    const text = fc.string({ unit: 'binary' });
    fc.assert(
      fc.property(text, (any) => {
        expect(printableLine(any)).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u);
        const json = printableJson({ any });
        expect(json.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u);
        expect(JSON.parse(json)).toEqual({ any });
      }),
      { seed: 20261123, numRuns: 1000 },
    );
  });

  test('tables are aligned, numbers to the right, without trailing space', () => {
    const rows = [
      ['NAME', 'COUNT', ''],
      ['a', '12', 'x'],
      ['weather\u001b', '3', ''],
    ];
    expect(table(rows, new Set([1]))).toBe(
      ['NAME           COUNT', 'a                 12  x', 'weather\\u{1b}      3', ''].join('\n'),
    );
  });
});
