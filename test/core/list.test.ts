import { assert as assertProperty, property, string } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { splitList, trimOws, unquote } from '../../src/core/list.ts';

describe('a list-valued field', () => {
  it.each<[string, readonly string[]]>([
    ['', ['']],
    ['a', ['a']],
    [' a ,\tb,, c ', ['a', 'b', '', 'c']],
    ['a="x, y", b', ['a="x, y"', 'b']],
    [String.raw`a="x\", y", b`, [String.raw`a="x\", y"`, 'b']],
  ])('%j has the members %j', (value, members) => {
    expect(splitList(value)).toEqual(members);
  });

  it('does not let a quote that is never closed hide what follows it', () => {
    expect(splitList('ext="oops, no-store')).toEqual(['ext="oops', 'no-store']);
    expect(splitList('a="x, y", ext="oops, no-store')).toEqual(['a="x, y"', 'ext="oops', 'no-store']);
  });

  it('is cut in time linear to its length, whatever quotes it has', () => {
    const hostile = String.raw`"\"`.repeat(50_000);
    const startedMs = performance.now();
    expect(splitList(hostile).length).toBeGreaterThan(0);
    expect(performance.now() - startedMs).toBeLessThan(1000);
  });

  it('has, between the commas, all that was in it', () => {
    assertProperty(
      property(string(), (value) => {
        expect(squeezed(splitList(value).join(','))).toBe(squeezed(value));
      }),
      { seed: 1 },
    );
  });
});

describe('white space round a member', () => {
  it('is space and tab, nothing else', () => {
    expect(trimOws(' \t a b \t')).toBe('a b');
    expect(trimOws('\u00A0a\u00A0')).toBe('\u00A0a\u00A0');
    expect(trimOws(' \t ')).toBe('');
  });
});

describe('a quoted-string', () => {
  it.each([
    ['"a b"', 'a b'],
    [String.raw`"a\"b\\"`, String.raw`a"b\\`.replace(String.raw`\\`, '\\')],
    ['""', ''],
    ['a', undefined],
    ['"a', undefined],
    ['"a"b', undefined],
    [String.raw`"a\"`, undefined],
    ['', undefined],
  ])('%j says %j', (text, said) => {
    expect(unquote(text)).toBe(said);
  });
});

function squeezed(text: string): string {
  return text.replaceAll(/[ \t,]/g, '');
}
