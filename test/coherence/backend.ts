import type { Fault } from './faults.ts';
import type { Wire } from './wire.ts';

/** What a fleet shares, with what can happen to it. */
export interface Backend {
  /** What goes wrong with Redis itself, by name. */
  readonly faults: readonly Fault[];
  /** Wires of one more sidecar and `store.redis` (without braces) that leads over them; `undefined`: without Redis. */
  connectSidecar(): Promise<{ readonly wires: readonly Wire[]; readonly redis: string | undefined }>;
}

/** `alone`: one sidecar without Redis, whose purge log is its own. */
export const modes = ['alone', 'standalone', 'sentinel', 'cluster'] as const;
export type Mode = (typeof modes)[number];

export interface BackendOptions {
  readonly mode: Mode;
  readonly leaseMs: number;
  /** Owns every process and socket. */
  readonly stack: AsyncDisposableStack;
}
