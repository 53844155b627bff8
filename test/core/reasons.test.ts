import { describe, expect, it } from 'vitest';
import {
  answerReasons,
  clientDirectiveSections,
  failureReasons,
  freshnessReason,
  freshnessReasons,
  headReasons,
  passReasons,
  relayReasons,
  reuseReasons,
  softTimeoutReasons,
  staleForbidderReasons,
  storableReason,
  storableReasons,
} from '../../src/core/reasons.ts';

/** Nothing of a specification decides these: the operator does, or there is nothing to decide on. */
const withoutSection = new Set(['cache-off', 'past-retention', 'uri-miss', 'nothing', 'no-rule', 'outdone', 'unasked']);

describe('the reasons that explain shows', () => {
  const all = {
    passReasons,
    relayReasons,
    freshnessReasons,
    reuseReasons,
    failureReasons,
    softTimeoutReasons,
    headReasons,
    storableReasons,
    staleForbidderReasons,
    answerReasons,
    clientDirectiveSections: Object.fromEntries(clientDirectiveSections),
  };

  it.each(
    Object.entries(all).flatMap(([of, reasons]) => Object.entries(reasons).map(([token, text]) => [of, token, text])),
  )('%s: %s names the section that says so', (_of, token, text) => {
    const names = /RFC (?:9110|9111|9213|5861|8586|10008) §[0-9]/.test(text);
    expect(names).toBe(!withoutSection.has(token));
    expect(text).not.toMatch(/[.]$/);
  });

  it.each([
    [passReasons['no-store'], 'RFC 9111 §5.2.2.5'],
    [passReasons.private, 'RFC 9111 §5.2.2.7'],
    [passReasons['not-understood'], 'RFC 9111 §5.2.2.3'],
    [passReasons.authorization, 'RFC 9111 §3.5'],
    [passReasons.partial, 'RFC 9111 §3.3'],
    [passReasons['vary-star'], 'RFC 9111 §4.1'],
    [passReasons['request-no-store'], 'RFC 9111 §5.2.1.5'],
    [passReasons['not-explicit'], 'RFC 9110 §9.3.3'],
    [freshnessReasons['cdn-cache-control'], 'RFC 9213 §2.2'],
    [freshnessReasons.heuristic, 'RFC 9111 §4.2.2'],
    [failureReasons['cut-off'], 'RFC 9111 §5.2.2.2'],
    [relayReasons.precondition, 'RFC 9111 §4.3.2'],
  ])('%s: %s', (text, section) => {
    expect(text).toContain(section);
  });

  it('give a source that an older version has stored as it is', () => {
    expect(freshnessReason('max-age')).toBe(freshnessReasons['max-age']);
    expect(freshnessReason('something old')).toBe('something old');
    expect(freshnessReason('constructor')).toBe('constructor');
    expect(storableReason('max-age')).toBe(storableReasons['max-age']);
    expect(storableReason('something old')).toBe('something old');
  });
});
