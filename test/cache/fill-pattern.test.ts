import { describe, expect, it } from 'vitest';

import { fillPattern } from '../../src/cache/fill-pattern.ts';

const none: ReadonlySet<string> = new Set();

function pathOf(pattern: string, value: string, ruled = none): unknown {
  const name = /:([a-z]+)/.exec(pattern)?.[1] ?? '0';
  const filled = fillPattern(pattern, new Map([[name, value]]), ruled);
  return filled.ok ? filled.value.path : filled.error;
}

describe('a path that is made for warming', () => {
  it.each([
    ['/stations/:id', 'DE:1234', '/stations/DE:1234'],
    ['/stations/:id', "a@b!$&'()*+,;=c-._~", "/stations/a@b!$&'()*+,;=c-._~"],
    ['/stations/:id', 'a b/c%d?e#f', '/stations/a%20b%2Fc%25d%3Fe%23f'],
    ['/stations/:id', 'Zürich', '/stations/Z%C3%BCrich'],
    ['/w/:path+', 'b/c:d', '/w/b/c:d'],
    ['/w/:path*', 'b/c', '/w/b/c'],
    ['/w/:path(.*)', 'b/c', '/w/b/c'],
    ['/w/:path(a|b)', 'a/b', '/w/a%2Fb'],
    ['/w/*', 'b/c:d e', '/w/b/c:d%20e'],
  ])('is %s with %s as a client writes it', (pattern, value, path) => {
    expect(pathOf(pattern, value)).toBe(path);
  });

  it('has what a group with a rule needs escaped escaped: its value is keyed by what it says', () => {
    expect(pathOf('/stations/:id', 'DE:1234', new Set(['id']))).toBe('/stations/DE%3A1234');
    expect(pathOf('/w/:path+', 'b/c:d', new Set(['path']))).toBe('/w/b/c%3Ad');
  });
});
