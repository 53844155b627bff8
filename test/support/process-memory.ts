import { readFileSync } from 'node:fs';

/** Resident memory of a process now and at its highest so far, in bytes. */
export interface ProcessMemory {
  readonly nowBytes: number;
  readonly peakBytes: number;
}

/** As Linux tells it. */
export function memoryOf(pid: number): ProcessMemory {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const bytes = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]) * 1024;
  return { nowBytes: bytes('VmRSS'), peakBytes: bytes('VmHWM') };
}
