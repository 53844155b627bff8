import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { judge, type Figure } from '../../bench/bars.ts';
import { threadsCpuMs } from '../../bench/http/cores.ts';
import { tolerances, withinRecorded } from '../../bench/short.ts';

const figure: Figure = {
  bar: 'short',
  requirement: 12,
  what: 'CPU a hit, 1 KB',
  rival: 'bare node',
  unit: 'µs',
  rounds: [
    { ours: 30, rival: 90 },
    { ours: 20, rival: 40 },
    { ours: 25, rival: 10 },
  ],
};

describe('the short form', () => {
  it('judges the best round of each side, by its tolerance times the recorded ratio', () => {
    const judged = withinRecorded(figure, { 'CPU a hit, 1 KB': 1 });
    expect(judged.rounds).toEqual([{ ours: 20, rival: 10 }]);
    expect(judged.limit).toBe(2);
    expect(judge(judged).verdict).toBe('met');
    expect(judge(withinRecorded(figure, { 'CPU a hit, 1 KB': 0.99 })).verdict).toBe('missed');
  });

  it('allows a relay less than a hit, whose few microseconds a neighbour may double', () => {
    const relay = { ...figure, what: 'CPU a relayed request, 1 KB' };
    expect(withinRecorded(relay, { [relay.what]: 2 }).limit).toBe(3);
  });

  it('has a tolerance and a recorded ratio for the same things', () => {
    const recorded: unknown = JSON.parse(readFileSync(new URL('../../bench/short.json', import.meta.url), 'utf8'));
    expect(Object.keys(tolerances).toSorted()).toEqual(Object.keys(Object(recorded)).toSorted());
  });

  it('misses what has no recorded ratio, so that a new one is recorded', () => {
    expect(judge(withinRecorded(figure, {})).verdict).toBe('missed');
  });
});

it('the processor time of threads is that of this process, finer than a tick', () => {
  const before = threadsCpuMs(process.pid);
  const own = process.cpuUsage();
  while (process.cpuUsage(own).user < 30_000) JSON.stringify(process.memoryUsage());
  const usedMs = threadsCpuMs(process.pid) - before;
  expect(usedMs).toBeGreaterThan(20);
  expect(usedMs).toBeLessThan(5000);
});
