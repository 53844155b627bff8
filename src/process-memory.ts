import { isMainThread } from 'node:worker_threads';
import { collectSooner } from './lean.ts';
import type { ProcessMemory } from './store/growth.ts';

/** What a process takes at most beside the `store.memory.maxBytes` that it is given. Bytes. */
const besideTier = 2 ** 26;

/**
 * What a tier of that size looks to when it grows. `undefined` in a worker: what is resident there is of all threads, whose
 * tiers do not know of each other.
 */
export function processMemoryFor(maxBytes: number): ProcessMemory | undefined {
  if (!isMainThread) return undefined;
  return { residentBytes: () => process.memoryUsage.rss(), mostBytes: maxBytes + besideTier, onTight: collectSooner };
}
