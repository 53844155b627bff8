import { describe, expect, it } from 'vitest';
import { asksForUpgrade, endToEnd, storableFields } from '../../src/core/hop-by-hop.ts';
import { fieldsOf, honourPolicy, policyOf } from '../support/policy.ts';

const names = (fields: readonly (readonly [string, string])[]): readonly string[] => fields.map(([name]) => name);

describe('hop-by-hop fields (RFC 9110 §7.6.1)', () => {
  it('are dropped with what Connection nominates, whatever its case and lines', () => {
    const fields = fieldsOf(
      'Connection: close, X-One',
      'Connection: x-TWO',
      'X-One: 1',
      'X-Two: 2',
      'X-Three: 3',
      'Keep-Alive: timeout=5',
      'Proxy-Connection: keep-alive',
      'Transfer-Encoding: chunked',
      'TE: trailers',
      'Trailer: x',
      'Upgrade: h2c',
      'Proxy-Authenticate: Basic',
      'Content-Type: text/plain',
    );
    expect(names(endToEnd(fields))).toEqual(['x-three', 'content-type']);
  });

  it('are not what every recipient needs, even where Connection nominates it', () => {
    const fields = fieldsOf('Connection: cache-control, vary, set-x', 'Cache-Control: no-store', 'Vary: *', 'Set-X: 1');
    expect(names(endToEnd(fields))).toEqual(['cache-control', 'vary']);
  });
});

describe('what is stored of the fields', () => {
  it.each(['ignore', 'cap', 'honour'] as const)(
    'holds no cookie, no quota, no Age and nothing hop-by-hop on %s routes',
    (upstreamCacheControl) => {
      const fields = fieldsOf(
        'Set-Cookie: CMPS=secret',
        'Set-Cookie: other=1',
        'RateLimit: limit=100',
        'RateLimit-Policy: 100;w=60',
        'RateLimit-Remaining: 4',
        'Rate-Limit: 5000',
        'Rate-Limit-Reset: 1457417554290',
        'X-RateLimit-Remaining-Day: 3',
        'X-Rate-Limit-Limit: 10',
        'X-RateLimit-Requests-Remaining: 1',
        'X-App-Rate-Limit: 1',
        'X-Quota-Left: 1',
        'X-WeatherAPI-QPM-Left: 4999998',
        'Age: 5',
        'Connection: close',
        'Content-Type: application/json',
        'ETag: "a"',
        'X-Own: kept',
      );
      const stored = storableFields(fields, policyOf({ upstreamCacheControl }));
      expect(names(stored)).toEqual(['content-type', 'etag', 'x-own']);
    },
  );

  it('holds cookies and quotas, but still no Age and nothing hop-by-hop, with storeFields: all', () => {
    const fields = fieldsOf('Set-Cookie: a=1', 'Set-Cookie: b=2', 'X-RateLimit-Remaining: 4', 'X-Own: kept');
    const gone = fieldsOf('Age: 5', 'Connection: x-hop', 'X-Hop: 1', 'Keep-Alive: 5');
    expect(storableFields([...fields, ...gone], honourPolicy({ storeFields: 'all' }))).toEqual(fields);
  });

  it('holds no request id and no echo of the query on ruled routes, all of them on honour routes', () => {
    const fields = fieldsOf(
      'X-Request-Id: 1',
      'X-Correlation-Id: 2',
      'X-Amzn-Trace-Id: 3',
      'X-Cache-Key: /data?APPID=secret',
      'Cache-Status: cdn; hit',
      'Retry-After: 5',
      'Server: nginx',
    );
    expect(names(storableFields(fields, policyOf()))).toEqual(['server']);
    expect(storableFields(fields, honourPolicy())).toEqual(fields);
  });

  it('keeps Retry-After of an error', () => {
    expect(names(storableFields(fieldsOf('Retry-After: 5'), policyOf(), 429))).toEqual(['retry-after']);
  });
});

describe('a request for another protocol (RFC 9110 §7.8)', () => {
  it.each([
    [['Connection: Upgrade', 'Upgrade: websocket'], true],
    [['Connection: keep-alive, upgrade', 'Upgrade: WebSocket'], true],
    [['Connection: Upgrade', 'Upgrade: h2c, foo'], true],
    [['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c'], false],
    [['Upgrade: websocket'], false],
    [['Connection: Upgrade'], false],
    [[], false],
  ])('%j: %s', (lines, asks) => {
    expect(asksForUpgrade(fieldsOf(...lines))).toBe(asks);
  });
});
