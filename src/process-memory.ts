import { collectSooner } from './lean.ts';
import { leastTierBytes, type ProcessMemory } from './store/growth.ts';

/** What a process takes at most beside the `store.memory.maxBytes` that it is given. Bytes. */
const besideTier = 2 ** 26;

/** Below this the 16 MiB that are a tier's in any case leave V8's heap less than it takes when it may grow by half. */
const smallTierBytes = 96 * 2 ** 20;

/** What a tier of that size looks to when it grows, in a process that is this proxy's alone. */
export function processMemoryFor(maxBytes: number): ProcessMemory {
  const room = maxBytes < smallTierBytes ? 'small' : 'some';
  return {
    residentBytes: () => process.memoryUsage.rss(),
    mostBytes: maxBytes + besideTier,
    onTight: () => collectSooner(room),
  };
}

const roomyYoungBytes = 4 * 2 ** 20;

/**
 * What V8's young generation is while a process is busy, in bytes of what may be allocated between two collections; `undefined`: the
 * MiB that it starts with. Beside a small tier there is no room for more.
 */
export function youngBytesFor(maxBytes: number): number | undefined {
  return maxBytes < smallTierBytes ? undefined : roomyYoungBytes;
}

/** What bounds the tiers of a process of several threads: plain numbers, for each thread asks the system by itself. */
export type SharedBounds = Required<Pick<ProcessMemory, 'mostBytes' | 'leastBytes'>>;

/**
 * For so many workers with `maxBytes` in all. Each has a heap, compilers and connections of its own, and so has the thread that
 * coordinates them, so that each may take what a process of one takes beside its tier.
 */
export function sharedBoundsFor(maxBytes: number, workers: number): SharedBounds {
  return { mostBytes: maxBytes + besideTier * (workers + 1), leastBytes: leastTierBytes / workers };
}

/** What the tier of one of several threads looks to. V8's flags are the whole process's, so it sets none. */
export function memoryOfThread(bounds: SharedBounds): ProcessMemory {
  return { residentBytes: () => process.memoryUsage.rss(), ...bounds };
}
