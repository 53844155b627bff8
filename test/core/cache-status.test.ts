import {
  assert as assertProperty,
  boolean,
  constantFrom,
  double,
  integer,
  oneof,
  property,
  record,
  string,
} from 'fast-check';
import { parseList, Token } from 'structured-headers';
import { describe, expect, it } from 'vitest';
import { appendCacheStatus, formatCacheStatus } from '../../src/core/cache-status.ts';
import type { CacheStatus } from '../../src/core/outcome.ts';
import { fieldsOf } from '../support/policy.ts';

describe('Cache-Status (RFC 9211)', () => {
  it.each<[CacheStatus, string]>([
    [{ hit: true, ttl: 3540 }, 'forecache; hit; ttl=3540'],
    [{ hit: true, ttl: -5, detail: 'memory' }, 'forecache; hit; ttl=-5; detail=memory'],
    [{ hit: false, fwd: 'uri-miss', stored: true }, 'forecache; fwd=uri-miss; stored'],
    [{ hit: false, fwd: 'uri-miss', stored: false, collapsed: false }, 'forecache; fwd=uri-miss'],
    [{ hit: false, fwd: 'stale', fwdStatus: 304 }, 'forecache; fwd=stale; fwd-status=304'],
    [{ hit: false, fwd: 'miss', stored: true, collapsed: true }, 'forecache; fwd=miss; stored; collapsed'],
    [{ hit: false, fwd: 'bypass' }, 'forecache; fwd=bypass'],
    [
      { hit: false, fwd: 'stale', fwdStatus: 503, ttl: -60, detail: 'stale-error' },
      'forecache; fwd=stale; fwd-status=503; ttl=-60; detail=stale-error',
    ],
    [{ hit: true, fwd: 'miss', fwdStatus: 200, stored: true, collapsed: true }, 'forecache; hit'],
    [{ hit: false, detail: 'parameter-invalid' }, 'forecache; detail=parameter-invalid'],
    [
      { hit: true, ttl: 1, key: 'forecast|/f?q=1', detail: 'memory' },
      'forecache; hit; ttl=1; key="forecast|/f?q=1"; detail=memory',
    ],
    [{ hit: false, fwd: 'uri-miss', key: String.raw`a"b\c` }, String.raw`forecache; fwd=uri-miss; key="a\"b\\c"`],
    // A String, also where it could be a token (§2.7).
    [{ hit: true, key: 'a' }, 'forecache; hit; key="a"'],
    [{ hit: false, detail: 'two words' }, 'forecache; detail="two words"'],
    [{ hit: false, detail: 'a"b\\c' }, String.raw`forecache; detail="a\"b\\c"`],
    [{ hit: false, detail: 'a\r\nSet-Cookie: x' }, 'forecache; detail="a??Set-Cookie: x"'],
    [{ hit: true, ttl: 1.9 }, 'forecache; hit; ttl=1'],
    [{ hit: true, ttl: -0.4 }, 'forecache; hit; ttl=0'],
    [{ hit: true, ttl: Infinity }, 'forecache; hit; ttl=999999999999999'],
  ])('%o is %s', (status, expected) => {
    expect(formatCacheStatus(status)).toBe(expected);
  });

  it('is one parseable member that begins with forecache and never has both hit and fwd', () => {
    const statuses = record(
      {
        hit: boolean(),
        fwd: constantFrom('bypass' as const, 'method', 'uri-miss', 'vary-miss', 'miss', 'request', 'stale', 'partial'),
        fwdStatus: integer({ min: 100, max: 999 }),
        ttl: oneof(integer(), double()),
        stored: boolean(),
        collapsed: boolean(),
        key: string({ unit: 'binary' }),
        detail: string({ unit: 'binary' }),
      },
      { requiredKeys: ['hit'] },
    );
    assertProperty(
      property(statuses, (status) => {
        const members = parseList(formatCacheStatus(status));
        const [name, parameters] = members[0] ?? [undefined, new Map<string, unknown>()];
        expect(members).toHaveLength(1);
        expect(name instanceof Token && name.toString()).toBe('forecache');
        expect(parameters.has('hit') && parameters.has('fwd')).toBe(false);
        expect(parameters.has('hit')).toBe(status.hit);
        expect(parameters.has('fwd')).toBe(!status.hit && status.fwd !== undefined);
      }),
      { seed: 11, numRuns: 3000 },
    );
  });

  it.each(['forecache; hit', '"forecache"; hit; ttl=5', 'cdn; hit, forecache; hit, other'])(
    'comes last also behind another Forecache: %s',
    (upstream) => {
      const fields = appendCacheStatus([['cache-status', upstream]], 'forecache; fwd=uri-miss');
      expect(fields.map(([, value]) => value)).toEqual([upstream, 'forecache; fwd=uri-miss']);
    },
  );

  it('comes behind the members of caches nearer to the origin', () => {
    const fields = appendCacheStatus(fieldsOf('Cache-Status: cdn; hit', 'X-One: 1'), 'forecache; hit');
    expect(fields.filter(([name]) => name === 'cache-status').map(([, value]) => value)).toEqual([
      'cdn; hit',
      'forecache; hit',
    ]);
  });
});
