import { assert as assertProperty, nat, option, property } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fieldValue } from '../../src/core/fields.ts';
import { standingOf } from '../../src/core/freshness.ts';
import {
  notModifiedFields,
  partialFields,
  replyFields,
  unsatisfiableFields,
  weakenEtag,
  weakEtag,
} from '../../src/core/response-fields.ts';
import {
  fieldsOf,
  freshnessWith,
  honourPolicy,
  HOUR,
  MINUTE,
  policyOf,
  SECOND,
  storedOf,
  T0,
} from '../support/policy.ts';

const said = fieldsOf(
  'Content-Type: application/json',
  'Date: Mon, 23 Nov 2026 12:00:00 GMT',
  'Cache-Control: no-store, private',
  'Cache-Control: max-age=0',
  'Expires: 0',
  'Pragma: no-cache',
  'X-Own: 1',
  'X-Own: 2',
);
const stored = storedOf({ fields: said });

describe('the fields of an answer from store', () => {
  it('say on ignore routes what the rule means, so that a client keeps it as long and no longer', () => {
    const fields = replyFields(stored, { ttlMs: 3540 * SECOND }, policyOf(), T0 + MINUTE);
    expect(fields).toEqual(
      fieldsOf(
        'Content-Type: application/json',
        'Date: Mon, 23 Nov 2026 12:00:00 GMT',
        'X-Own: 1',
        'X-Own: 2',
        'Cache-Control: max-age=3600',
        'Age: 60',
      ),
    );
  });

  it.each([
    ['honour', 'rule ttl'],
    ['honour', 'max-age'],
    ['cap', 'max-age'],
    ['cap', 's-maxage'],
  ] as const)('are those of upstream on %s routes where %s decided', (upstreamCacheControl, source) => {
    const item = { ...stored, freshness: { ...stored.freshness, source } };
    const fields = replyFields(item, { ttlMs: 3540 * SECOND }, policyOf({ upstreamCacheControl }), T0 + MINUTE);
    expect(fields).toEqual([...said, ['age', '60']]);
  });

  it('say the cap where the cap decided, so that no client keeps it for longer', () => {
    const long = fieldsOf('Date: Mon, 23 Nov 2026 12:00:00 GMT', 'Cache-Control: max-age=86400');
    const capped = storedOf({ fields: long, freshness: { ...stored.freshness, source: 'cap' } });
    const cap = policyOf({ upstreamCacheControl: 'cap' });
    const fields = replyFields(capped, { ttlMs: 540 * SECOND }, cap, T0 + MINUTE);
    expect(fieldValue(fields, 'cache-control')).toBe('max-age=600');
    const strict = { ...capped, freshness: { ...capped.freshness, mustRevalidate: true } };
    const bound = replyFields(strict, { ttlMs: 540 * SECOND }, cap, T0 + MINUTE);
    expect(fieldValue(bound, 'cache-control')).toBe('max-age=600, must-revalidate');
  });

  it('say no-cache on cap routes where upstream does: no lifetime of the rule stands against it', () => {
    const validated = freshnessWith({ alwaysValidate: true, mustRevalidate: true, source: 'rule ttl' });
    const item = storedOf({ fields: fieldsOf('Cache-Control: no-cache', 'ETag: "a"'), freshness: validated });
    const fields = replyFields(item, { ttlMs: HOUR }, policyOf({ upstreamCacheControl: 'cap' }), T0);
    expect(fieldValue(fields, 'cache-control')).toBe('no-cache');
  });

  it.each([
    ['s-maxage', 'Cache-Control: s-maxage=60, max-age=86400', 'max-age=60'],
    ['cdn-cache-control', 'Cache-Control: max-age=86400', 'max-age=60'],
    ['cdn-cache-control', 'Cache-Control: s-maxage=86400, max-age=60', 'max-age=60'],
    ['cdn-cache-control', 'Expires: Tue, 24 Nov 2026 12:00:00 GMT', 'max-age=60'],
    ['cdn-cache-control', 'Cache-Control: private, max-age=86400', 'private, max-age=60'],
    ['cdn-cache-control', 'Cache-Control: no-store, max-age=86400', 'no-store, max-age=86400'],
    // Within the rule it is upstream's to say.
    ['s-maxage', 'Cache-Control: s-maxage=60, max-age=3600', 's-maxage=60, max-age=3600'],
    ['cdn-cache-control', 'Cache-Control: private', 'private'],
  ])('let no client keep it past the rule where %s decided here, and it is told %s', (source, line, says) => {
    const targeted = source === 's-maxage' ? [] : fieldsOf('CDN-Cache-Control: max-age=60');
    const date = fieldsOf('Date: Mon, 23 Nov 2026 12:00:00 GMT');
    const item = storedOf({
      fields: [...date, ...fieldsOf(line), ...targeted],
      freshness: freshnessWith({ freshUntilMs: T0 + MINUTE, source }),
    });
    const fields = replyFields(item, { ttlMs: undefined }, policyOf({ upstreamCacheControl: 'cap' }), T0);
    expect(fieldValue(fields, 'cache-control')).toBe(says);
    // What else tells of a lifetime stays where nothing is cut.
    const kept = says.endsWith('max-age=60') ? [] : item.fields;
    for (const name of ['expires', 'cdn-cache-control']) expect(fieldValue(fields, name)).toBe(fieldValue(kept, name));
    const honoured = replyFields(item, { ttlMs: undefined }, honourPolicy(), T0);
    expect(honoured).toEqual([...item.fields, ['age', '0']]);
  });

  it.each([
    ['Cache-Control: no-store', 'no-store'],
    ['Cache-Control: no-cache', 'no-cache'],
    ['Cache-Control: private, max-age=60', 'private, max-age=3600'],
    ['Cache-Control: max-age=60', 'max-age=3600'],
  ])('say on cap routes what upstream keeps from clients with %s, also where the cap decided', (line, says) => {
    const targeted = fieldsOf('CDN-Cache-Control: max-age=86400');
    const item = storedOf({
      fields: [...fieldsOf(line), ...targeted],
      freshness: freshnessWith({ freshUntilMs: T0 + HOUR, source: 'cap' }),
    });
    const fields = replyFields(item, { ttlMs: undefined }, policyOf({ upstreamCacheControl: 'cap' }), T0);
    expect(fieldValue(fields, 'cache-control')).toBe(says);
  });

  it('have Age only where there is some, when the answer was just fetched', () => {
    const fetched = { ttlMs: undefined, forwarded: true };
    expect(fieldValue(replyFields(stored, fetched, honourPolicy(), T0 + 999), 'age')).toBeUndefined();
    const aged = storedOf({ initialAgeMs: 5000 });
    expect(fieldValue(replyFields(aged, fetched, honourPolicy(), T0 + 999), 'age')).toBe('5');
    expect(fieldValue(replyFields(stored, { ttlMs: 1 * SECOND }, honourPolicy(), T0), 'age')).toBe('0');
  });

  it('tell a client that a stale answer is stale', () => {
    const fields = replyFields(stored, { ttlMs: -60 * SECOND }, policyOf(), T0 + HOUR + MINUTE);
    expect(fieldValue(fields, 'age')).toBe('3660');
    expect(fieldValue(fields, 'cache-control')).toBe('max-age=3600');
  });

  it('have one Date, Age and no length of their own', () => {
    const odd = storedOf({ fields: fieldsOf('Content-Length: 5', 'Age: 77') });
    const fields = replyFields(odd, { ttlMs: 1 * SECOND }, honourPolicy(), T0);
    expect(fields).toEqual(fieldsOf('Date: Mon, 23 Nov 2026 12:00:00 GMT', 'Age: 0'));
  });

  it('leave a client cache the freshness that is left here, and say the same lifetime at every moment of it', () => {
    const policy = policyOf();
    assertProperty(
      property(nat(HOUR - 1), nat(10_000), option(nat(3000)), (atMs, initialAgeMs, purged) => {
        const nowMs = T0 + atMs;
        const item = storedOf({ initialAgeMs, freshness: freshnessWith({ swrUntilMs: T0 + 9 * HOUR }) });
        const staleSinceMs = purged === null ? undefined : T0 + purged * SECOND;
        const { ttlMs, ttlSeconds } = standingOf(item, staleSinceMs, nowMs);
        const fields = replyFields(item, { ttlMs }, policy, nowMs);
        const maxAge = Number(/^max-age=([0-9]+)$/.exec(fieldValue(fields, 'cache-control') ?? '')?.[1]);
        const left = maxAge - Number(fieldValue(fields, 'age'));
        // Age is cut to whole seconds (RFC 9111 §5.1), which is at most one second more for the client.
        expect([ttlSeconds, ttlSeconds + 1]).toContain(left);
        expect(maxAge).toBe(purged === null ? Math.floor((HOUR + initialAgeMs) / SECOND) : maxAge);
      }),
      { seed: 13, numRuns: 1000 },
    );
  });
});

describe('the fields of a 304 (RFC 9110 §15.4.5)', () => {
  it('are those of the 200 without what describes the body', () => {
    const fields = fieldsOf(
      'Cache-Control: max-age=60',
      'Content-Location: /x',
      'Date: Mon, 23 Nov 2026 12:00:00 GMT',
      'ETag: "a"',
      'Expires: 0',
      'Vary: accept',
      'Age: 5',
      'Access-Control-Allow-Origin: *',
      'Content-Security-Policy: x',
    );
    const dropped = fieldsOf(
      'Content-Type: text/plain',
      'Content-Length: 5',
      'Content-Encoding: gzip',
      'Content-Language: de',
      'Content-MD5: x',
      'Content-Digest: x',
      'Last-Modified: Sun, 22 Nov 2026 12:00:00 GMT',
    );
    expect(notModifiedFields([...fields, ...dropped])).toEqual(fields);
  });

  it('have Last-Modified where there is no ETag', () => {
    const fields = fieldsOf('Last-Modified: Sun, 22 Nov 2026 12:00:00 GMT');
    expect(notModifiedFields(fields)).toEqual(fields);
  });
});

describe('the fields of a part (RFC 9110 §15.3.7, §15.5.17)', () => {
  it('say which one it is, and nothing of the whole that is wrong for it', () => {
    const fields = fieldsOf('Content-Type: text/plain', 'Content-Length: 100', 'Content-MD5: x', 'ETag: "a"');
    expect(partialFields(fields, { start: 10, end: 19 }, 100)).toEqual(
      fieldsOf('Content-Type: text/plain', 'ETag: "a"', 'Content-Range: bytes 10-19/100'),
    );
    expect(unsatisfiableFields(100)).toEqual([['content-range', 'bytes */100']]);
  });
});

describe('the ETag of a body whose coding was removed', () => {
  it('is weak', () => {
    expect(weakEtag('"a"')).toBe('W/"a"');
    expect(weakEtag('W/"a"')).toBe('W/"a"');
    expect(weakenEtag(fieldsOf('ETag: "a"', 'X: "a"'))).toEqual(fieldsOf('ETag: W/"a"', 'X: "a"'));
  });
});
