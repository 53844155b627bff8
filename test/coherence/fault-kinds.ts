import type { Mode } from './backend.ts';

const ofNetwork = ['pause-up', 'pause-down', 'pause-both', 'cut', 'refuse', 'latency', 'cut-mid-reply'] as const;
const ofProcess = ['sidecar-freeze', 'sidecar-kill', 'clock-step'] as const;
const ofRedis = [
  'redis-freeze',
  'redis-kill-empty',
  'redis-old-dump',
  'control-deleted',
  'log-deleted',
  'flushall',
] as const;

/** Every fault of a mode, known before anything is started; a run refuses to begin where it is not what there is. */
export const faultKinds: Readonly<Record<Mode, readonly string[]>> = {
  alone: ofProcess,
  standalone: [...ofNetwork, ...ofProcess, ...ofRedis],
  sentinel: [...ofNetwork, ...ofProcess, 'master-freeze', 'master-kill'],
  cluster: [...ofNetwork, ...ofProcess, 'owner-kill', 'owner-freeze'],
};
