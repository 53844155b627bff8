import { expect, it } from 'vitest';

import { runHistory, type RunOptions } from './run-history.ts';
import { countsOf, renderSummary, usualDemands, vacuity } from './summary.ts';

const common = { sidecars: 4, clientsEach: 4, leaseMs: 500, seed: 20_261_125 } as const;

/** What a run found, in words that a failed test shows; empty where all is well. */
async function findings(options: RunOptions): Promise<string> {
  const outcome = await runHistory(options);
  const counts = countsOf(outcome.recorded);
  const missed = vacuity(counts, usualDemands(options.seconds, outcome.asked, options.mode));
  const bad = outcome.violations.length + missed.length + outcome.recorded.refusals.length + outcome.complaints.length;
  return bad === 0 ? '' : renderSummary(outcome, counts, missed);
}

it(
  'serves nothing older than a completed purge, whatever happens to Redis and the fleet',
  { timeout: 60_000 },
  async () => {
    expect(await findings({ ...common, mode: 'standalone', seconds: 14, calm: 0.3 })).toBe('');
  },
);

it('serves nothing older than a completed purge through a fail-over by Sentinel', { timeout: 60_000 }, async () => {
  const faults = ['master-kill', 'pause-both', 'latency', 'sidecar-freeze'];
  expect(await findings({ ...common, mode: 'sentinel', seconds: 10, faults, calm: 0.3 })).toBe('');
});

it('serves nothing older than a completed purge without Redis', async () => {
  expect(
    await findings({ ...common, mode: 'alone', sidecars: 1, clientsEach: 8, seconds: 4, faults: ['clock-step'] }),
  ).toBe('');
});
