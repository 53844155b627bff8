import type { JobLeases } from './fleet-ports.ts';

/** The job leases of a process without a shared tier: it is its own fleet, so every job is always its to run. */
export const localJobs: JobLeases = {
  retryMs: 1000,
  claim: () => Promise.resolve({ kind: 'ours', lease: { finish: () => Promise.resolve() } }),
};
