import { describe, expect, it } from 'vitest';

import { runHistory, type RunOptions } from './run-history.ts';
import { countsOf, renderSummary, usualDemands, vacuity } from './summary.ts';
import type { Recorded } from './traffic.ts';

const common = { sidecars: 4, clientsEach: 4, leaseMs: 500, purgePauseMs: 100, seed: 20_261_125 } as const;

/** What a run found, in words that a failed test shows; empty where all is well. */
async function findings(options: RunOptions): Promise<string> {
  const missing = (recorded: Recorded, asked: readonly string[]): readonly string[] =>
    vacuity(countsOf(recorded), usualDemands(options, asked));
  const outcome = await runHistory({ ...options, isEnough: (...seen) => missing(...seen).length === 0 });
  const counts = countsOf(outcome.recorded);
  const missed = missing(outcome.recorded, outcome.asked);
  const bad = outcome.violations.length + missed.length + outcome.recorded.refusals.length + outcome.complaints.length;
  return bad === 0 ? '' : renderSummary(outcome, counts, missed);
}

it(
  'serves nothing older than a completed purge, whatever happens to Redis and the fleet',
  { timeout: 90_000 },
  async () => {
    expect(await findings({ ...common, mode: 'standalone', seconds: 12, calm: 0.3 })).toBe('');
  },
);

it('serves nothing older than a completed purge through fail-overs by Sentinel', { timeout: 90_000 }, async () => {
  const faults = ['master-kill', 'master-freeze', 'pause-both', 'latency', 'sidecar-freeze'];
  expect(await findings({ ...common, mode: 'sentinel', seconds: 12, faults, calm: 0.3 })).toBe('');
});

it('serves nothing older than a completed purge through a fail-over of a Cluster', { timeout: 90_000 }, async () => {
  const faults = ['owner-kill', 'pause-both', 'latency', 'sidecar-freeze'];
  expect(await findings({ ...common, mode: 'cluster', seconds: 8, faults, calm: 0.6 })).toBe('');
});

it('serves nothing older than a completed purge without Redis', { timeout: 90_000 }, async () => {
  expect(
    await findings({ ...common, mode: 'alone', sidecars: 1, clientsEach: 8, seconds: 4, faults: ['clock-step'] }),
  ).toBe('');
});

describe('with workers', () => {
  // Clocks of workers are those of the machine.
  const options = { ...common, mode: 'alone', sidecars: 1, clientsEach: 8, workers: 3, faults: [] } as const;

  it('serves nothing older than a completed purge from any of them', { timeout: 90_000 }, async () => {
    expect(await findings({ ...options, seconds: 6 })).toBe('');
  });

  it('would, if they did not tell each other what they purge', async () => {
    const { violations } = await runHistory({ ...options, seconds: 4, altered: ['toldPurges'] });
    expect(violations.length).toBeGreaterThan(0);
  });
});

it('serves nothing older than a completed purge from workers of a fleet', { timeout: 90_000 }, async () => {
  const faults = ['pause-both', 'latency', 'sidecar-kill'];
  const options = { ...common, mode: 'standalone', sidecars: 2, workers: 2, seconds: 8, faults, calm: 0.6 } as const;
  expect(await findings(options)).toBe('');
});
