import { expect, it, vi } from 'vitest';

/*
 * All that is said of the fast lane holds where its connections are read by their streams, as on a Node on which they
 * cannot be read directly.
 */
const asked = vi.hoisted(() => ({ count: 0 }));

vi.mock('../../src/server/fast-lane-reads.ts', () => ({
  readDirectly: () => {
    asked.count += 1;
    return false;
  },
}));

await import('./fast-lane.test.ts');
await import('./fast-lane-targets.test.ts');
await import('./fast-lane-waiting.test.ts');
await import('./fast-lane-scripted.test.ts');

it('was asked for on each of those connections', () => {
  expect(asked.count).toBeGreaterThan(100);
});
