import {
  array,
  assert as assertProperty,
  boolean,
  constantFrom,
  integer,
  nat,
  oneof,
  property,
  record,
  tuple,
} from 'fast-check';
import { describe, expect, it } from 'vitest';
import { requestForbidsStoring } from '../../src/core/client-directives.ts';
import { decideAbsent, decideReuse, notStoredProblem } from '../../src/core/reuse-policy.ts';
import type { CachePolicy } from '../../src/core/route.ts';
import type { StoredResponse } from '../../src/core/stored-response.ts';
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

interface Given {
  readonly stored?: StoredResponse;
  readonly policy?: CachePolicy;
  readonly request?: string;
  readonly atMs?: number;
  readonly staleSinceMs?: number;
}

function decide({ stored = storedOf(), policy = policyOf(), request, atMs = 0, staleSinceMs }: Given) {
  const requestFields = request === undefined ? [] : fieldsOf(`Cache-Control: ${request}`);
  return decideReuse({ stored, staleSinceMs, policy, requestFields, nowMs: T0 + atMs });
}

function short(given: Given): string {
  const decision = decide(given);
  switch (decision.kind) {
    case 'reuse':
    case 'refuse':
      return decision.kind;
    case 'reuse-stale':
      return decision.revalidate ? 'stale, revalidate' : 'stale';
    case 'validate':
    case 'fetch':
      return `${decision.kind} ${decision.fwd}`;
  }
}

const windows = storedOf({
  freshness: freshnessWith({ swrUntilMs: T0 + HOUR + 10 * MINUTE, sieUntilMs: T0 + 2 * HOUR }),
});
const withEtag = storedOf({ etag: '"a"' });
const validated = storedOf({ etag: '"a"', freshness: freshnessWith({ alwaysValidate: true, mustRevalidate: true }) });
const strict = storedOf({ freshness: freshnessWith({ mustRevalidate: true }) });

describe('a stored response (RFC 9111 §4)', () => {
  it.each<[string, Given, string]>([
    ['just stored', {}, 'reuse'],
    ['in the last millisecond of its freshness', { atMs: HOUR - 1 }, 'reuse'],
    ['stale', { atMs: HOUR }, 'fetch stale'],
    ['stale, with an ETag', { stored: withEtag, atMs: HOUR }, 'validate stale'],
    ['stale, with a date', { stored: storedOf({ lastModified: 'x' }), atMs: HOUR }, 'validate stale'],
    ['in the stale window', { stored: windows, atMs: HOUR }, 'stale, revalidate'],
    ['at the end of the stale window', { stored: windows, atMs: HOUR + 10 * MINUTE }, 'fetch stale'],
    ['no-cache, fresh', { stored: validated }, 'validate stale'],
    ['must-revalidate, fresh', { stored: strict }, 'reuse'],
    ['must-revalidate, stale', { stored: strict, atMs: HOUR }, 'fetch stale'],
    ['at the end of retention', { stored: windows, atMs: 24 * HOUR }, 'fetch uri-miss'],
    ['softly purged', { stored: windows, atMs: 2 * MINUTE, staleSinceMs: T0 + MINUTE }, 'stale, revalidate'],
    ['softly purged, without a stale window', { atMs: 2 * MINUTE, staleSinceMs: T0 + MINUTE }, 'fetch stale'],
    [
      'softly purged, its window over',
      { stored: windows, atMs: 11 * MINUTE, staleSinceMs: T0 + MINUTE },
      'fetch stale',
    ],
  ])('%s', (_case, given, expected) => {
    expect(short(given)).toBe(expected);
  });

  it('is never fresh with a lifetime of 0, not even in the same millisecond', () => {
    expect(short({ stored: storedOf({ freshness: freshnessWith({ freshUntilMs: T0, swrUntilMs: T0 }) }) })).toBe(
      'fetch stale',
    );
  });

  it('is reused with its age and what is left', () => {
    expect(decide({ atMs: MINUTE, stored: storedOf({ initialAgeMs: 5000 }) })).toEqual({
      kind: 'reuse',
      ageSeconds: 65,
      ttlSeconds: 3540,
      reason: 'fresh (RFC 9111 §4.2)',
    });
    expect(decide({ stored: windows, atMs: HOUR + MINUTE })).toMatchObject({ ageSeconds: 3660, ttlSeconds: -60 });
  });
});

describe('Cache-Control of a request (RFC 9111 §5.2.1)', () => {
  const honour = honourPolicy();
  const long = { stored: windows, atMs: HOUR + MINUTE };

  it.each<[string, Given, string]>([
    ['no-cache', {}, 'fetch request'],
    ['no-cache', { stored: withEtag }, 'validate request'],
    ['No-Cache, foo', { stored: withEtag }, 'validate request'],
    ['no-cache, only-if-cached', {}, 'refuse'],
    ['no-store', {}, 'reuse'],
    ['only-if-cached', {}, 'reuse'],
    ['only-if-cached', { atMs: HOUR }, 'refuse'],
    ['only-if-cached', long, 'stale, revalidate'],
    ['only-if-cached', { atMs: 24 * HOUR }, 'refuse'],
    ['only-if-cached', { stored: validated }, 'refuse'],
    ['max-age=60', { atMs: MINUTE }, 'reuse'],
    ['max-age=60', { atMs: MINUTE + 1 }, 'fetch request'],
    ['max-age=0', {}, 'fetch request'],
    ['max-age=7200', { atMs: HOUR }, 'fetch stale'],
    ['max-age=7200', long, 'fetch stale'],
    ['max-age=7200, max-stale', long, 'stale, revalidate'],
    ['max-age=7200, max-stale=60', { atMs: HOUR + MINUTE }, 'stale'],
    ['max-age=soon', {}, 'reuse'],
    ['min-fresh=60', {}, 'reuse'],
    ['min-fresh=3600', {}, 'reuse'],
    ['min-fresh=3601', {}, 'fetch request'],
    ['min-fresh=60', { atMs: HOUR - MINUTE + 1 }, 'fetch request'],
    ['max-stale', { atMs: 20 * HOUR }, 'stale'],
    ['max-stale=60', { atMs: HOUR + MINUTE }, 'stale'],
    ['max-stale=60', { atMs: HOUR + MINUTE + 1 }, 'fetch stale'],
    ['max-stale=60', long, 'stale, revalidate'],
    ['max-stale=59', long, 'fetch stale'],
    ['max-stale', { stored: strict, atMs: HOUR }, 'fetch stale'],
    ['max-stale', { stored: validated }, 'validate stale'],
    ['max-stale', { atMs: 24 * HOUR }, 'fetch uri-miss'],
    ['nothing-to-see-here', {}, 'reuse'],
  ])('%s (%o) → %s', (request, given, expected) => {
    expect(short({ policy: honour, ...given, request })).toBe(expected);
    expect(short({ policy: policyOf({ clientCacheControl: 'honour' }), ...given, request })).toBe(expected);
    // On other routes it says nothing.
    expect(short({ ...given, request })).toBe(short(given));
  });

  it('cannot have by max-stale what is past retention and kept to be validated only', () => {
    const policy = policyOf({ clientCacheControl: 'honour', retainMs: 2 * HOUR, keepForValidationMs: HOUR });
    const stored = { ...withEtag, freshness: freshnessWith({ retainUntilMs: T0 + 3 * HOUR }) };
    const given = { policy, stored, request: 'max-stale' };
    expect(short({ ...given, atMs: 2 * HOUR - 1 })).toBe('stale');
    expect(short({ ...given, atMs: 2 * HOUR })).toBe('validate stale');
  });

  it('is not read from Pragma (§5.4)', () => {
    const requestFields = fieldsOf('Pragma: no-cache');
    const decision = decideReuse({
      stored: storedOf(),
      staleSinceMs: undefined,
      policy: honour,
      requestFields,
      nowMs: T0,
    });
    expect(decision.kind).toBe('reuse');
  });

  it('forbids storing where the route heeds it', () => {
    const fields = fieldsOf('Cache-Control: no-store');
    expect(requestForbidsStoring(policyOf(), fields)).toBe(false);
    expect(requestForbidsStoring(policyOf({ clientCacheControl: 'honour' }), fields)).toBe(true);
    expect(requestForbidsStoring(honour, fields)).toBe(true);
    expect(requestForbidsStoring(honour, fieldsOf('Cache-Control: no-cache'))).toBe(false);
    expect(requestForbidsStoring(honour, [])).toBe(false);
  });
});

describe('nothing stored', () => {
  it('is fetched, and refused for only-if-cached where that counts', () => {
    const fields = fieldsOf('Cache-Control: only-if-cached');
    expect(decideAbsent(policyOf(), fields)).toMatchObject({ kind: 'fetch', fwd: 'uri-miss' });
    expect(decideAbsent(policyOf(), [], 'vary-miss')).toMatchObject({ kind: 'fetch', fwd: 'vary-miss' });
    expect(decideAbsent(honourPolicy(), fields)).toMatchObject({ kind: 'refuse' });
    expect(notStoredProblem().status).toBe(504);
  });
});

describe('any decision on reuse', () => {
  const directives = array(
    oneof(
      constantFrom('no-cache', 'no-store', 'only-if-cached', 'max-stale', 'x'),
      tuple(constantFrom('max-age', 'min-fresh', 'max-stale'), nat(20_000)).map(([name, value]) => `${name}=${value}`),
    ),
    { maxLength: 3 },
  ).map((list) => list.join(', '));
  const stored = record({
    fresh: integer({ min: -HOUR, max: 4 * HOUR }),
    swr: nat(2 * HOUR),
    retain: nat(8 * HOUR),
    mustRevalidate: boolean(),
    alwaysValidate: boolean(),
    etag: constantFrom(undefined, '"a"'),
  }).map(({ fresh, swr, retain, mustRevalidate, alwaysValidate, etag }) => {
    const retainUntilMs = T0 + retain;
    const freshUntilMs = Math.min(T0 + fresh, retainUntilMs);
    const strictly = mustRevalidate || alwaysValidate;
    const swrUntilMs = strictly ? freshUntilMs : Math.min(freshUntilMs + swr, retainUntilMs);
    const times = { freshUntilMs, swrUntilMs, sieUntilMs: swrUntilMs, retainUntilMs };
    return storedOf({ etag, freshness: freshnessWith({ ...times, mustRevalidate: strictly, alwaysValidate }) });
  });
  const given = record(
    {
      stored,
      policy: constantFrom(policyOf(), policyOf({ clientCacheControl: 'honour' }), honourPolicy()),
      request: directives,
      atMs: nat(10 * HOUR),
      staleSinceMs: nat(4 * HOUR).map((ms) => T0 + ms),
    },
    { requiredKeys: ['stored', 'policy', 'request', 'atMs'] },
  );
  const runs = { seed: 6, numRuns: 3000 };

  it('serves nothing past retention, nothing stale that must be validated, nothing under no-cache', () => {
    assertProperty(
      property(given, (input) => {
        const { freshness } = input.stored;
        const nowMs = T0 + input.atMs;
        const { kind } = decide(input);
        const served = kind === 'reuse' || kind === 'reuse-stale';
        const mayBeServed =
          nowMs < freshness.retainUntilMs &&
          !freshness.alwaysValidate &&
          !(freshness.mustRevalidate && (nowMs >= freshness.freshUntilMs || input.staleSinceMs !== undefined));
        expect(served && !mayBeServed).toBe(false);
        // A soft purge holds whatever its time says.
        const isFresh = nowMs < freshness.freshUntilMs && input.staleSinceMs === undefined;
        expect(kind === 'reuse' && !isFresh).toBe(false);
        expect(kind === 'reuse-stale' && isFresh).toBe(false);
        expect(kind === 'validate' && input.stored.etag === undefined).toBe(false);
      }),
      runs,
    );
  });

  it('does not find fresh later what it did not find fresh before', () => {
    assertProperty(
      property(given, nat(HOUR), (input, laterMs) => {
        const now = decide({ ...input, request: '' }).kind;
        const later = decide({ ...input, request: '', atMs: input.atMs + laterMs }).kind;
        expect(later === 'reuse' && now !== 'reuse').toBe(false);
      }),
      runs,
    );
  });

  it('goes upstream for only-if-cached never', () => {
    assertProperty(
      property(given, (input) => {
        const { kind } = decide({ ...input, policy: honourPolicy(), request: `only-if-cached, ${input.request}` });
        expect(kind === 'fetch' || kind === 'validate').toBe(false);
      }),
      runs,
    );
  });

  it('says how old a response is in whole seconds that never go back', () => {
    assertProperty(
      property(nat(HOUR / SECOND), (seconds) => {
        const aged = { ...storedOf(), initialAgeMs: 300 };
        expect(decide({ stored: aged, atMs: seconds * SECOND })).toMatchObject(
          seconds * SECOND < HOUR ? { ageSeconds: seconds } : { kind: 'fetch' },
        );
      }),
      { seed: 7 },
    );
  });
});
