import { describe, expect, it } from 'vitest';

import { plainlySpelt, resolveReference } from '../../src/core/uri-reference.ts';

const base = { path: '/b/c/d;p', query: 'q' };

describe('a reference in an answer', () => {
  // RFC 3986 §5.4, as far as they name something by HTTP.
  it.each([
    ['g', '/b/c/g'],
    ['./g', '/b/c/g'],
    ['g/', '/b/c/g/'],
    ['/g', '/g'],
    ['?y', '/b/c/d;p?y'],
    ['g?y', '/b/c/g?y'],
    ['#s', '/b/c/d;p?q'],
    ['g#s', '/b/c/g'],
    ['g?y#s', '/b/c/g?y'],
    [';x', '/b/c/;x'],
    ['g;x=1/./y', '/b/c/g;x=1/y'],
    ['g;x=1/../y', '/b/c/y'],
    ['', '/b/c/d;p?q'],
    ['.', '/b/c/'],
    ['./', '/b/c/'],
    ['..', '/b/'],
    ['../', '/b/'],
    ['../g', '/b/g'],
    ['../..', '/'],
    ['../../g', '/g'],
    ['../../../g', '/g'],
    ['/./g', '/g'],
    ['/../g', '/g'],
    ['g.', '/b/c/g.'],
    ['..g', '/b/c/..g'],
    ['./../g', '/b/g'],
    ['g/./h', '/b/c/g/h'],
    ['g/../h', '/b/c/h'],
    ['g?y/../x', '/b/c/g?y/../x'],
    ['g#s/../x', '/b/c/g'],
  ])('%j is %s of the same origin', (reference, target) => {
    const { origin, path, query } = resolveReference(reference, base) ?? {};
    expect([origin, query === undefined ? path : `${path}?${query}`]).toEqual([undefined, target]);
  });

  it.each([
    ['http://a/b/../c?x=1', { origin: { scheme: 'http', authority: 'a' }, path: '/c', query: 'x=1' }],
    ['HTTPS://a:8443', { origin: { scheme: 'https', authority: 'a:8443' }, path: '/', query: undefined }],
    ['//evil/x', { origin: { scheme: undefined, authority: 'evil' }, path: '/x', query: undefined }],
    ['//u@h/x', { origin: { scheme: undefined, authority: 'u@h' }, path: '/x', query: undefined }],
  ])('%s names its own origin', (reference, named) => {
    expect(resolveReference(reference, base)).toEqual(named);
  });

  it.each(['g:h', 'mailto:a@b', 'ftp://a/b', 'http:g', 'urn:x:y'])('%s names nothing by HTTP', (reference) => {
    expect(resolveReference(reference, base)).toBeUndefined();
  });

  it('keeps the bytes that URL would rewrite', () => {
    const { path, query } = resolveReference(`/a'b|\\x%7E?'"{|}\\`, base) ?? {};
    expect([path, query]).toEqual([`/a'b|\\x%7E`, `'"{|}\\`]);
  });

  it('of many dot segments is resolved in one pass', () => {
    const many = 100_000;
    expect(resolveReference(`${'x/'.repeat(many)}${'../'.repeat(many)}g`, base)?.path).toBe('/b/c/g');
  });
});

describe('the plain spelling of a URL (RFC 9110 §4.2.3)', () => {
  it.each([
    ['/a/%62%2D%2e%5F%7e%41%30', '/a/b-._~A0'],
    ['/%c3%a4%2f%3B', '/%C3%A4%2F%3B'],
    ['/a%2562', '/a%2562'],
    ['/100%?q=%zz%4', '/100%?q=%zz%4'],
    ['/a+b', '/a+b'],
  ])('of %s is %s', (text, plain) => {
    expect(plainlySpelt(text)).toBe(plain);
  });
});
