import { describe, expect, it } from 'vitest';
import { judge, type Figure } from '../../bench/bars.ts';
import { threadsCpuMs } from '../../bench/http/cores.ts';
import { withinRecorded } from '../../bench/short.ts';

const figure: Figure = {
  bar: 'short',
  requirement: 12,
  what: 'CPU a hit',
  rival: 'bare node',
  unit: 'µs',
  rounds: [
    { ours: 30, rival: 90 },
    { ours: 20, rival: 40 },
    { ours: 25, rival: 10 },
  ],
};

describe('the short form', () => {
  it('judges the best round of each side, by twice the recorded ratio', () => {
    const judged = withinRecorded(figure, { 'CPU a hit': 1 });
    expect(judged.rounds).toEqual([{ ours: 20, rival: 10 }]);
    expect(judged.limit).toBe(2);
    expect(judge(judged).verdict).toBe('met');
    expect(judge(withinRecorded(figure, { 'CPU a hit': 0.99 })).verdict).toBe('missed');
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
