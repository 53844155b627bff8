import { check, oneof, property, string, stringMatching } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseTraceparent, traceIdOf } from '../../src/core/trace.ts';

const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
const parentId = '00f067aa0ba902b7';

describe('traceparent', () => {
  it('is read in version 00', () => {
    expect(parseTraceparent(`00-${traceId}-${parentId}-01`)).toEqual({ traceId, parentId, sampled: true });
    expect(parseTraceparent(`00-${traceId}-${parentId}-00`)).toEqual({ traceId, parentId, sampled: false });
    expect(parseTraceparent(`00-${traceId}-${parentId}-fe`)?.sampled).toBe(false);
  });

  it('may be longer in a later version', () => {
    expect(parseTraceparent(`01-${traceId}-${parentId}-01-what-the-future-brings`)?.traceId).toBe(traceId);
    expect(parseTraceparent(`cc-${traceId}-${parentId}-01`)?.traceId).toBe(traceId);
  });

  it.each([
    ['version ff', `ff-${traceId}-${parentId}-01`],
    ['a longer version 00', `00-${traceId}-${parentId}-01-more`],
    ['a later version without the dash', `01-${traceId}-${parentId}-01more`],
    ['upper case', `00-${traceId.toUpperCase()}-${parentId}-01`],
    ['a zero trace id', `00-${'0'.repeat(32)}-${parentId}-01`],
    ['a zero parent id', `00-${traceId}-${'0'.repeat(16)}-01`],
    ['a short trace id', `00-${traceId.slice(1)}-${parentId}-01`],
    ['no flags', `00-${traceId}-${parentId}`],
    ['surrounding space', ` 00-${traceId}-${parentId}-01`],
    ['a line break', `01-${traceId}-${parentId}-01-a\n`],
    ['two values', `00-${traceId}-${parentId}-01, 00-${traceId}-${parentId}-01`],
    ['an endless tail', `01-${traceId}-${parentId}-01-${'a'.repeat(600)}`],
    ['nothing', ''],
  ])('is refused with %s', (_what, value) => {
    expect(parseTraceparent(value)).toBeUndefined();
  });

  it('never throws and never gives an id of another form', () => {
    const run = check(
      property(oneof(string(), stringMatching(/^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}-?$/)), (value) => {
        const parsed = parseTraceparent(value);
        return parsed === undefined || /^[0-9a-f]{32}$/.test(parsed.traceId);
      }),
      { seed: 20261123, numRuns: 2000 },
    );
    expect(run.counterexample).toBeNull();
  });

  it('counts only where there is exactly one line of it', () => {
    const line = ['traceparent', `00-${traceId}-${parentId}-01`] as const;
    expect(traceIdOf([line])).toBe(traceId);
    expect(traceIdOf([line, line])).toBeUndefined();
    expect(traceIdOf([['tracestate', 'a=b']])).toBeUndefined();
  });
});
