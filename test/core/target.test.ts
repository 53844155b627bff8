import { describe, expect, test } from 'vitest';
import { parseHost, parseTarget } from '../../src/core/target.ts';

describe('a request target', () => {
  test.for([
    ['/a/b', '/a/b', undefined],
    ['/', '/', undefined],
    ['/a?', '/a', ''],
    ['/a?b=c&d', '/a', 'b=c&d'],
    ['/a?b=/../x', '/a', 'b=/../x'],
    ['/a//b/', '/a//b/', undefined],
    ['/AC%2FDC', '/AC%2FDC', undefined],
    ['/AC%252FDC', '/AC%252FDC', undefined],
    ['/a%252e%252e/b', '/a%252e%252e/b', undefined],
    ['/caf%E9', '/caf%E9', undefined],
    ['/points/38.8,-77.0', '/points/38.8,-77.0', undefined],
    ['/a/...', '/a/...', undefined],
    ['/a/.well-known;v=1/x', '/a/.well-known;v=1/x', undefined],
    ['/a?b[]=1|2', '/a', 'b[]=1|2'],
    ['/a@b:c', '/a@b:c', undefined],
  ] as const)('%s is taken as it is, byte for byte', ([raw, path, query]) => {
    expect(parseTarget(raw)).toEqual({ ok: true, value: { path, query, authority: undefined } });
  });

  test.for([
    ['http://api.example/data?q=1', '/data', 'q=1', 'api.example'],
    ['HTTPS://API.example:8443/x', '/x', undefined, 'API.example:8443'],
    ['http://api.example', '/', undefined, 'api.example'],
    ['http://api.example?q', '/', 'q', 'api.example'],
    ['http://[::1]:80/x', '/x', undefined, '[::1]:80'],
  ] as const)('%s is taken in absolute-form', ([raw, path, query, authority]) => {
    expect(parseTarget(raw)).toEqual({ ok: true, value: { path, query, authority } });
  });

  test.for([
    '',
    '*',
    'a',
    'example.com:443',
    '//evil.example/x',
    '///x',
    '/\\evil.example/x',
    '/a\\..\\b',
    '/a/../b',
    '/a/./b',
    '/..',
    '/.',
    '/a/..',
    '/a/%2e%2e/b',
    '/a/%2E%2E/b',
    '/a/.%2E/b',
    '/a/%2e/b',
    '/a/..;/b',
    '/a/..;x=1/b',
    '/a/%2e%2e;/b',
    '/a/..%3B/b',
    '/a/..%2Fb',
    '/a%2f..%2fb',
    '/a/..%5cb',
    '/a%5C..',
    '/a%00.js',
    '/a%0d%0aSet-Cookie:%20x',
    '/a%7F',
    '/a/%c0%ae%c0%ae/b',
    '/a%c0%afb',
    '/a/%e0%80%ae/b',
    '/a#b',
    '/a?b#c',
    '/a%zz',
    '/a%2',
    '/a%',
    '/a b',
    '/a\tb',
    '/a\u0000',
    '/é',
    '/a?b=é',
    '/a?b c',
    '/a?b=\n',
    '/a|b',
    '/a{b}',
    '/a"b',
    'http://alice@host/x',
    'http://alice:pass@host/x',
    'http://host@/x',
    'http:///x',
    'http://',
    'http:/x',
    'http://ho st/x',
    'http://a,b/x',
    'http://host:99999/x',
    'http://host/../x',
    'http://host//x',
    'ftp://host/x',
    'javascript:alert(1)',
  ])('%j is refused with a 400', (raw) => {
    const result = parseTarget(raw);
    expect(result).toMatchObject({ ok: false, error: { status: 400 } });
    // What came in is never quoted.
    expect(JSON.stringify(result)).not.toMatch(/evil|alice|Set-Cookie/);
  });

  test.for([
    ['/a[0]', 'the character [, which RFC 3986 does not allow there; percent-encode it as %5B'],
    ['/a]', 'the character ]'],
    ['/a|b', 'percent-encode it as %7C'],
    ['/x^2', 'percent-encode it as %5E'],
    ['/a b', 'a space, which RFC 3986 does not allow there; percent-encode it as %20'],
    ['/caf\u00e9', 'a character outside printable ASCII'],
    ['/a\u0007', 'a character outside printable ASCII'],
    ['/100%', 'a % that two hexadecimal digits do not follow'],
  ])('%j is refused in words that say what to write instead', ([raw = '', words = '']) => {
    const result = parseTarget(raw);
    expect(result.ok ? '' : result.error.detail).toContain(words);
    expect(JSON.stringify(result)).toMatch(/^[ -~]+$/);
  });

  test('a long target costs time in proportion to its length', () => {
    const startMs = performance.now();
    for (const piece of ['%2e', '/..a', 'a', '/', '%C3%A9', ';', '.']) {
      parseTarget(`/${piece.repeat(300_000)}`);
      parseTarget(`/a?${piece.repeat(300_000)}`);
    }
    expect(performance.now() - startMs).toBeLessThan(2000);
  });
});

describe('a host', () => {
  test.for([
    ['api.example', 'api.example', undefined],
    ['API.Example:8080', 'api.example', 8080],
    ['api.example.', 'api.example', undefined],
    ['api.example:', 'api.example', undefined],
    ['127.0.0.1:0', '127.0.0.1', 0],
    ['[2001:DB8::1]:443', '[2001:db8::1]', 443],
    ['[::ffff:127.0.0.1]', '[::ffff:127.0.0.1]', undefined],
    ['my_host', 'my_host', undefined],
  ] as const)('%s is accepted', ([value, host, port]) => {
    expect(parseHost(value)).toEqual({ ok: true, value: { host, port } });
  });

  test.for([
    '',
    ':80',
    '.',
    'a b',
    'a,b',
    'a/b',
    'a@b',
    'a#b',
    'a?b',
    'a\\b',
    'a%41',
    'a:b',
    'a:80:80',
    'a:65536',
    'a:-1',
    'é.example',
    '[::1',
    '::1',
    '[:::]',
    '[1.2.3]',
    '[fe80::1%25eth0]',
    'a\u0000',
    'a\r\nb',
    'a'.repeat(254),
  ])('%j is refused', (value) => {
    expect(parseHost(value)).toMatchObject({ ok: false, error: { status: 400, code: 'host-invalid' } });
  });
});
