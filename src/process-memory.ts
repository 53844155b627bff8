import { collectSooner } from './lean.ts';
import type { ProcessMemory } from './store/growth.ts';

/** What a process takes at most beside the `store.memory.maxBytes` that it is given. Bytes. */
const besideTier = 2 ** 26;

/** What a tier of that size looks to when it grows, in a process that is this proxy's alone. */
export function processMemoryFor(maxBytes: number): ProcessMemory {
  return { residentBytes: () => process.memoryUsage.rss(), mostBytes: maxBytes + besideTier, onTight: collectSooner };
}
