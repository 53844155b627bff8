import { BaseSequencer, type TestSpecification } from 'vitest/node';

/**
 * Files that take long and are small, the longest first. Where nothing is known of earlier runs, as in a fresh clone, files are
 * started by their size, and these would come last: one after another, with nothing left to run beside them.
 */
export const longest = [
  'coherence/short-run',
  'server/fast-lane-by-stream',
  'coherence/mutations',
  'e2e/fleet-faults',
  'e2e/fleet-purge',
  'e2e/fleet-topologies',
  'coherence/learn-mutations',
  'e2e/fleet-sharing',
  'server/fast-lane-waiting',
  'server/fast-lane-differential',
  'e2e/image',
  'store/coherence/epochs',
  'server/fast-lane',
  'store/redis/client-sentinel',
  'store/redis/client-cluster',
  'store/redis/client-faults',
  'store/coherence/shared-purge-log',
  'server/fast-lane-redis-differential',
  'workers/pool',
  'lifecycle/standstill',
  'server/bounded-memory',
  'conformance/run',
  'store/purge-log.contract',
];

/**
 * Starts those first, then what has a process of its own, then what shares one: a process is kept only for a file that comes
 * right behind. Otherwise it leaves the order as it is.
 */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    // oxlint-disable-next-line unicorn/no-array-sort -- not that of an array
    const sorted = await super.sort(files);
    return sorted.toSorted((one, other) => rankOf(one) - rankOf(other));
  }
}

function rankOf({ moduleId, project }: TestSpecification): number {
  const index = longest.findIndex((name) => moduleId.endsWith(`/test/${name}.test.ts`));
  if (index !== -1) return index;
  return project.config.isolate ? longest.length : longest.length + 1;
}
