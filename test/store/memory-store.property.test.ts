import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import type { TrialStep } from '../support/store-trial.ts';
import { StoreTrial, trialKey, trialRoutes, trialTags, trialUrls, trialVariants } from '../support/store-trial.ts';

const url = fc.nat(trialUrls.length - 1);
const variant = fc.constantFrom(...trialVariants);
const slot = fc.nat(3);

const scope = fc.oneof(
  fc.constantFrom(...trialTags).map((tag) => `t:${tag}`),
  fc.constantFrom(...trialUrls).map((text) => `u:${text}`),
  fc.constantFrom(...trialRoutes).map((route) => `r:${route}`),
  fc.constantFrom('', '/a', '/a/', '/b', '/a/b', `/a/${'b'.repeat(180)}`).map((prefix) => `p:${prefix}`),
  fc.tuple(url, variant).map(([place, number]) => `k:${trialKey(place, number)}`),
  fc.constant('all'),
);

const put = fc.record({
  do: fc.constant('put' as const),
  slot,
  url,
  variant,
  tags: fc.array(fc.nat(trialTags.length - 1), { maxLength: 6 }),
  retainMs: fc.constantFrom(1, 50, 1000, 100_000),
  marker: fc.boolean(),
  bodyBytes: fc.nat(3000),
});
const use = fc.record({
  do: fc.constantFrom('get' as const, 'peek' as const, 'again' as const, 'invalidate' as const),
  url,
  variant,
});
const purge = fc.record({
  do: fc.constant('purge' as const),
  scopes: fc.array(scope, { minLength: 1, maxLength: 3 }),
  soft: fc.boolean(),
});
const advance = fc.record({
  do: fc.constant('advance' as const),
  ms: fc.constantFrom(0, 1, 2, 49, 1000, 40_000),
});

const step: fc.Arbitrary<TrialStep> = fc.oneof(
  { weight: 2, arbitrary: fc.record({ do: fc.constant('begin' as const), slot }) },
  { weight: 6, arbitrary: put },
  { weight: 5, arbitrary: use },
  { weight: 2, arbitrary: purge },
  { weight: 2, arbitrary: advance },
);

const cases = [
  { when: 'with room for all', maxBytes: 10_000_000, limit: 1000, maxScopes: 20_000, exact: true },
  { when: 'while it evicts', maxBytes: 12_000, limit: 4, maxScopes: 20_000, exact: false },
  { when: 'while the purge table overflows', maxBytes: 10_000_000, limit: 1000, maxScopes: 4, exact: false },
];

test.each(cases)('random use agrees with a plain Map and a list of purges, $when', async (options) => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), fc.boolean(), async (steps, auditEach) => {
      const trial = new StoreTrial(options);
      for (const action of steps) {
        await trial.run(action);
        if (auditEach) trial.audit();
      }
      await trial.end();
      expect(trial.disagreements).toEqual([]);
    }),
    { numRuns: 1000, seed: 20_261_123 },
  );
});
