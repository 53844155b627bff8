import { describe, expect, it } from 'vitest';
import {
  decideOnFailure,
  decideOnSoftTimeout,
  failureProblem,
  isFailureStatus,
  type FailureInput,
  type SoftTimeoutInput,
} from '../../src/core/failure-policy.ts';
import type { FailureKind } from '../../src/core/failure.ts';
import { failureReasons, softTimeoutReasons } from '../../src/core/reasons.ts';
import { fieldsOf, freshnessWith, honourPolicy, HOUR, MINUTE, policyOf, storedOf, T0 } from '../support/policy.ts';

const kinds: readonly FailureKind[] = [
  'dns',
  'connect',
  'tls',
  'reset',
  'timeout',
  'malformed',
  'truncated',
  'too-large',
  'aborted',
  'busy',
];
const stale = storedOf({ freshness: freshnessWith({ sieUntilMs: T0 + 7 * HOUR }) });

function decide(given: Partial<FailureInput>) {
  return decideOnFailure({
    failure: 'connect',
    stored: stale,
    staleSinceMs: undefined,
    policy: policyOf(),
    requestFields: [],
    nowMs: T0 + 2 * HOUR,
    ...given,
  });
}

describe('stale-if-error (RFC 5861 §4)', () => {
  it.each([...kinds, 500, 501, 502, 503, 504, 520, 599, 429])('serves stale on %s', (failure) => {
    expect(decide({ failure })).toMatchObject({
      kind: 'serve-stale',
      detail: 'stale-error',
      ageSeconds: 7200,
      ttlSeconds: -3600,
    });
  });

  it.each([200, 301, 304, 400, 401, 403, 404, 428, 430, 499, 600, 999])('does not cover a %i', (failure) => {
    expect(decide({ failure }).kind).toBe('pass-through');
    expect(isFailureStatus(failure)).toBe(false);
  });

  it.each([
    ['at the end of the window', { nowMs: T0 + 7 * HOUR }],
    ['with nothing stored', { stored: undefined }],
    ['without a window', { stored: storedOf() }],
    [
      'past retention',
      { stored: storedOf({ freshness: freshnessWith({ sieUntilMs: T0 + 7 * HOUR, retainUntilMs: T0 + HOUR }) }) },
    ],
    [
      'for what must be validated on every use',
      { stored: storedOf({ freshness: freshnessWith({ alwaysValidate: true, sieUntilMs: T0 + 7 * HOUR }) }) },
    ],
    ['once the window counted from a soft purge is over', { staleSinceMs: T0 + MINUTE, nowMs: T0 + 6 * HOUR + MINUTE }],
  ] satisfies readonly (readonly [string, Partial<FailureInput>])[])('serves nothing %s', (_case, given) => {
    expect(decide({ ...given, failure: 'connect' }).kind).toBe('problem');
    expect(decide({ ...given, failure: 503 }).kind).toBe('pass-through');
  });

  it('serves what a soft purge made stale', () => {
    expect(decide({ staleSinceMs: T0 + MINUTE, nowMs: T0 + 2 * MINUTE })).toMatchObject({
      kind: 'serve-stale',
      ttlSeconds: -60,
    });
  });

  it.each([429, 500, 503, 599])('serves no stored %i once it is stale: it is a failure itself', (status) => {
    const stored = { ...stale, status };
    for (const policy of [policyOf(), honourPolicy()]) {
      expect(decide({ stored, policy })).toMatchObject({ kind: 'problem', reason: failureReasons.error });
      expect(decide({ stored, policy, failure: 503 })).toEqual({
        kind: 'pass-through',
        reason: failureReasons.error,
      });
      expect(decide({ stored, policy, staleSinceMs: T0, nowMs: T0 + MINUTE }).kind).toBe('problem');
      expect(decide({ stored, policy, nowMs: T0 + MINUTE }).kind).toBe('serve-stale');
    }
    expect(decide({ stored: { ...stale, status: 404 } }).kind).toBe('serve-stale');
  });

  it('serves what is still fresh where a request had asked for a new answer', () => {
    expect(decide({ nowMs: T0 + MINUTE })).toMatchObject({ kind: 'serve-stale', ttlSeconds: 3540 });
  });
});

describe('an honour route that is disconnected (RFC 9111 §4.2.4)', () => {
  const policy = honourPolicy();

  it.each([
    ['dns', 'serve-stale'],
    ['connect', 'serve-stale'],
    ['tls', 'serve-stale'],
    ['reset', 'serve-stale'],
    ['timeout', 'serve-stale'],
    ['truncated', 'serve-stale'],
    ['malformed', 'problem'],
    ['too-large', 'problem'],
    ['aborted', 'problem'],
    ['busy', 'problem'],
    [503, 'pass-through'],
    [429, 'pass-through'],
  ] as const)('on %s without any directive: %s', (failure, kind) => {
    expect(decide({ failure, policy, stored: storedOf() }).kind).toBe(kind);
  });

  it('serves nothing that must-revalidate, s-maxage or no-cache forbids, and nothing past retention', () => {
    const strict = storedOf({ freshness: freshnessWith({ mustRevalidate: true }) });
    const validated = storedOf({ freshness: freshnessWith({ mustRevalidate: true, alwaysValidate: true }) });
    for (const stored of [strict, validated]) {
      // RFC 9111 §5.2.2.2 asks for 504 when the cache is cut off.
      expect(decide({ policy, stored })).toMatchObject({ problem: { status: 504, code: 'upstream-unreachable' } });
      expect(decide({ policy, stored, failure: 'reset' })).toMatchObject({ problem: { status: 504 } });
      expect(decide({ policy, stored, failure: 'malformed' })).toMatchObject({ problem: { status: 502 } });
      expect(decide({ policy, stored, failure: 503 }).kind).toBe('pass-through');
    }
    expect(decide({ policy, stored: storedOf(), nowMs: T0 + 24 * HOUR }).kind).toBe('problem');
  });
});

describe("a request's own stale-if-error (RFC 5861 §4)", () => {
  const requestFields = fieldsOf('Cache-Control: stale-if-error=3601');

  it('is heeded where the directives of clients are, up to its last millisecond', () => {
    const given = { failure: 503, stored: storedOf(), requestFields };
    for (const policy of [honourPolicy(), policyOf({ clientCacheControl: 'honour' })]) {
      expect(decide({ ...given, policy })).toMatchObject({ kind: 'serve-stale', ttlSeconds: -3600 });
      expect(decide({ ...given, policy, nowMs: T0 + 2 * HOUR + 1000 }).kind).toBe('pass-through');
    }
    expect(decide(given).kind).toBe('pass-through');
  });

  it('does not get what is past retention and kept to be validated only', () => {
    const policy = policyOf({ clientCacheControl: 'honour', retainMs: 2 * HOUR, keepForValidationMs: HOUR });
    const stored = storedOf({ freshness: freshnessWith({ retainUntilMs: T0 + 3 * HOUR }) });
    const given = { failure: 503, stored, policy, requestFields };
    expect(decide({ ...given, nowMs: T0 + 2 * HOUR - 1 }).kind).toBe('serve-stale');
    expect(decide({ ...given, nowMs: T0 + 2 * HOUR }).kind).toBe('pass-through');
  });

  it('is not heeded against must-revalidate', () => {
    const stored = storedOf({ freshness: freshnessWith({ mustRevalidate: true }) });
    expect(decide({ failure: 503, stored, requestFields, policy: honourPolicy() }).kind).toBe('pass-through');
  });
});

describe('a slow upstream (softTimeout)', () => {
  const policy = policyOf({ softTimeoutMs: 500, clientCacheControl: 'honour' });
  const refreshed = storedOf({ freshness: freshnessWith({ swrUntilMs: T0 + 3 * HOUR }) });

  function soft(given: Partial<SoftTimeoutInput> = {}) {
    const input = { stored: stale, staleSinceMs: undefined, policy, requestFields: [], nowMs: T0 + 2 * HOUR };
    return decideOnSoftTimeout({ ...input, ...given });
  }

  it('is not waited for where a stale window is open, whichever', () => {
    for (const stored of [stale, refreshed]) {
      expect(soft({ stored })).toMatchObject({ kind: 'serve-stale', detail: 'soft-timeout', ttlSeconds: -3600 });
    }
  });

  it.each<[string, Partial<SoftTimeoutInput>, keyof typeof softTimeoutReasons]>([
    ['without a softTimeout', { policy: policyOf() }, 'no-rule'],
    ['on honour routes', { policy: honourPolicy({ softTimeoutMs: 500 }) }, 'no-rule'],
    ['where a stale error is stored', { stored: { ...stale, status: 503 } }, 'error'],
    ['at the end of both windows', { nowMs: T0 + 7 * HOUR }, 'too-old'],
    ['at the end of its own window', { stored: refreshed, nowMs: T0 + 3 * HOUR }, 'too-old'],
    [
      'past retention',
      { stored: storedOf({ freshness: freshnessWith({ sieUntilMs: T0 + 7 * HOUR, retainUntilMs: T0 + HOUR }) }) },
      'too-old',
    ],
    ['once the window counted from a soft purge is over', { staleSinceMs: T0, nowMs: T0 + 6 * HOUR }, 'too-old'],
    [
      'where must-revalidate forbids it',
      { stored: storedOf({ freshness: freshnessWith({ mustRevalidate: true, sieUntilMs: T0 + 7 * HOUR }) }) },
      'forbidden',
    ],
    [
      'where no-cache forbids it',
      { stored: storedOf({ freshness: freshnessWith({ alwaysValidate: true, sieUntilMs: T0 + 7 * HOUR }) }) },
      'forbidden',
    ],
    ['where the request says no-cache', { requestFields: fieldsOf('Cache-Control: no-cache') }, 'request'],
    ['where it says max-age', { requestFields: fieldsOf('Cache-Control: max-age=99999') }, 'request'],
    ['where it says min-fresh', { requestFields: fieldsOf('Cache-Control: min-fresh=1') }, 'request'],
    ['where its max-stale is over', { requestFields: fieldsOf('Cache-Control: max-stale=3599') }, 'request'],
    [
      'where it is older than its max-age',
      { requestFields: fieldsOf('Cache-Control: max-age=7199, max-stale') },
      'request',
    ],
  ])('is waited for %s', (_case, given, reason) => {
    expect(soft(given)).toEqual({ kind: 'wait', reason: softTimeoutReasons[reason] });
  });

  it.each(['max-stale', 'max-stale=3600', 'max-age=7200, max-stale'])('is not waited for with %s', (directives) => {
    expect(soft({ requestFields: fieldsOf(`Cache-Control: ${directives}`) }).kind).toBe('serve-stale');
  });

  it('is not waited for by a request whose directives do not count', () => {
    const ignoring = policyOf({ softTimeoutMs: 500 });
    expect(soft({ policy: ignoring, requestFields: fieldsOf('Cache-Control: no-cache') }).kind).toBe('serve-stale');
  });
});

describe("the proxy's own answer to a failure", () => {
  it.each(kinds)('to %s is a 502 or 504, never a 503', (kind) => {
    const problem = failureProblem(kind);
    expect(problem.status).toBe(kind === 'timeout' || kind === 'busy' ? 504 : 502);
    expect(problem.code).toMatch(/^upstream-[a-z-]+$/);
    expect(decide({ stored: undefined, failure: kind })).toMatchObject({ kind: 'problem', problem });
  });

  it('tells apart what the operator has to look at', () => {
    const codes = kinds.map((kind) => failureProblem(kind).code);
    expect(codes).toEqual([
      'upstream-unreachable',
      'upstream-unreachable',
      'upstream-unreachable',
      'upstream-reset',
      'upstream-timeout',
      'upstream-malformed',
      'upstream-truncated',
      'upstream-too-large',
      'upstream-aborted',
      'upstream-busy',
    ]);
  });
});
