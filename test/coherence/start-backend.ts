import type { Backend, BackendOptions } from './backend.ts';
import { startCluster } from './cluster.ts';
import { startSentinel } from './sentinel.ts';
import { startStandalone } from './standalone.ts';

/** Starts what the mode needs; the stack of the options ends it. */
export async function startBackend(options: BackendOptions): Promise<Backend> {
  switch (options.mode) {
    case 'alone':
      return { faults: [], connectSidecar: async () => ({ wires: [], redis: undefined }) };
    case 'standalone':
      return startStandalone(options);
    case 'sentinel':
      return startSentinel(options);
    case 'cluster':
      return startCluster(options);
  }
}
