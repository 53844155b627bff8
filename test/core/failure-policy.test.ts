import { describe, expect, it } from 'vitest';
import { decideOnFailure, failureProblem, isFailureStatus, type FailureInput } from '../../src/core/failure-policy.ts';
import type { FailureKind } from '../../src/core/failure.ts';
import { freshnessWith, honourPolicy, HOUR, MINUTE, policyOf, storedOf, T0 } from '../support/policy.ts';

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
    expect(decide({ policy, stored: strict }).kind).toBe('problem');
    expect(decide({ policy, stored: validated }).kind).toBe('problem');
    expect(decide({ policy, stored: storedOf(), nowMs: T0 + 24 * HOUR }).kind).toBe('problem');
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
