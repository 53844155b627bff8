import { describe, expect, test } from 'vitest';
import { allRules } from '../../../src/store/coherence/rules.ts';
import { explore } from './explorer.ts';

describe('invariant 1: no order of steps lets a read after a complete purge have what was fetched before it', () => {
  test.each([
    { purges: 2, failOver: true, slow: 'none', least: 150_000, complete: 2000 },
    { purges: 1, failOver: false, slow: 'ann', least: 45_000, complete: 300 },
    { purges: 1, failOver: false, slow: 'bob', least: 35_000, complete: 300 },
  ] as const)(
    '$purges purges, a fail-over: $failOver, answers delayed or lost: $slow',
    { timeout: 60_000 },
    ({ least, complete, ...options }) => {
      const { worlds, completed, violation } = explore({ ...options, rules: allRules, maxWorlds: 400_000 });
      expect(violation).toBeUndefined();
      expect(worlds).toBeGreaterThan(least);
      // Worlds in which every purge has returned: without them nothing would be shown.
      expect(completed[options.purges]).toBeGreaterThan(complete);
    },
  );

  // With answers to bob delayed he may have been told that the log begins later, and not have heard it.
  test.each([
    { slow: 'none', least: 13_000, complete: 200 },
    { slow: 'bob', least: 120_000, complete: 1500 },
  ] as const)(
    'while purges of something else push them out of the log, answers delayed or lost: $slow',
    { timeout: 60_000 },
    ({ slow, least, complete }) => {
      const trim = { most: 1, others: 1 };
      const { worlds, completed, violation } = explore({
        rules: allRules,
        purges: 1,
        failOver: false,
        slow,
        trim,
        maxWorlds: 150_000,
      });
      expect(violation).toBeUndefined();
      expect(worlds).toBeGreaterThan(least);
      expect(completed[1]).toBeGreaterThan(complete);
    },
  );
});

describe('without one of its rules the exploration finds such a read', () => {
  test.each([
    { rule: 'barrier', failOver: false, slow: 'none', last: 'the purge is complete' },
    { rule: 'lease', failOver: false, slow: 'none', last: 'the purge is complete' },
    { rule: 'leaseFromSend', failOver: false, slow: 'bob', last: 'the purge is complete' },
    { rule: 'epoch', failOver: true, slow: 'none', last: "the master answers bob's sync" },
    { rule: 'replicaCheck', failOver: true, slow: 'none', last: 'the purge is complete' },
  ] as const)('$rule', ({ rule, last, ...options }) => {
    const rules = { ...allRules, [rule]: false };
    const { violation } = explore({ ...options, rules, purges: 1, maxWorlds: 400_000 });
    expect(violation?.at(-1)).toBe(last);
  });
});
