import { readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';

import { processFamilies, watchThread } from '../../src/metrics/process-families.ts';

/** Keeps this thread from everything else. */
function hold(ms: number): void {
  const untilMs = performance.now() + ms;
  while (performance.now() < untilMs);
}

it('the event-loop lag is that since it was last told', async () => {
  using watch = watchThread();
  await sleep(50);
  hold(800);
  await sleep(50);
  expect(watch.numbers().lagMax).toBeGreaterThan(0.7);
  expect(watch.numbers().lagMax).toBe(0);
  await sleep(100);
  expect(watch.numbers().lagMax).toBeLessThan(0.5);
});

it.runIf(process.platform === 'linux')(
  'files that are open are counted without the one by which they are counted',
  () => {
    using watch = watchThread();
    const folder = '/proc/self/fd';
    const open = readdirSync(folder).length - 1;
    const family = processFamilies('1', watch.numbers()).find(({ name }) => name === 'process_open_fds');
    expect(family?.values).toEqual([{ labels: {}, value: open }]);
  },
);
