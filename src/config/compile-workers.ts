import type { Config } from '../core/config.ts';
import { fewestSharedBy } from '../core/worker-shares.ts';
import type { Compilation } from './compilation.ts';

/** Whether so many workers can share what is limited for the whole process; adds an issue where they cannot. */
export function checkWorkers(
  { issues }: Compilation,
  config: Pick<Config, 'server' | 'store' | 'upstreams' | 'routes'>,
): void {
  const { workers } = config.server;
  const bound = fewestSharedBy(config);
  if (workers <= bound.workers) return;
  issues.add(
    ['server', 'workers'],
    `${bound.option} can be divided among ${bound.workers} at most: each worker has its part of it`,
  );
}
