import { describe, expect, it } from 'vitest';
import { forwardedFields } from '../../src/core/forwarded-fields.ts';
import { fieldsOf, routeOf } from '../support/policy.ts';

const honoured = routeOf({ upstreamCacheControl: 'honour' }, { forwardHeaders: ['*'], headers: ['x-tenant'] });

function forwarded(...lines: readonly string[]): readonly string[] {
  return forwardedFields(honoured, fieldsOf(...lines)).map(([name]) => name);
}

describe('request fields that an honour route sends upstream unkeyed', () => {
  it('are those that it names, or all with *, but not the keyed ones', () => {
    expect(forwarded('Accept: a', 'X-Any: b', 'X-Tenant: c')).toEqual(['accept', 'x-any']);
    const some = { ...honoured, forwardHeaders: ['accept'] };
    expect(forwardedFields(some, fieldsOf('Accept: a', 'X-Any: b'))).toEqual([['accept', 'a']]);
    expect(forwardedFields({ ...honoured, forwardHeaders: [] }, fieldsOf('Accept: a'))).toEqual([]);
  });

  it.each([
    'Authorization: a',
    'Cookie: a',
    'Host: a',
    'Connection: close',
    'TE: trailers',
    'Transfer-Encoding: chunked',
    'Content-Length: 3',
    'Expect: 100-continue',
    'Upgrade: h2c',
    'Proxy-Authorization: a',
    'X-Forwarded-Host: evil',
    'Forwarded: host=evil',
    'X-Original-URL: /admin',
    'X-Rewrite-URL: /admin',
    'X-Host: evil',
    'X-HTTP-Method-Override: POST',
    'X-Method-Override: POST',
    'If-None-Match: "a"',
    'Range: bytes=0-1',
  ])('never hold %s', (line) => {
    expect(forwarded(line, 'X-Any: b')).toEqual(['x-any']);
  });

  it('lack what Connection nominates, quoted commas and all (RFC 9110 §7.6.1)', () => {
    expect(forwarded('Connection: X-Any , close', 'X-Any: b', 'Accept: a')).toEqual(['accept']);
    expect(forwarded('Connection: "x-any, y"', 'X-Any: b')).toEqual(['x-any']);
  });

  it('keep what no connection option may take away', () => {
    expect(forwarded('Connection: cache-control, x-any', 'Cache-Control: no-cache', 'X-Any: b')).toEqual([
      'cache-control',
    ]);
  });
});
