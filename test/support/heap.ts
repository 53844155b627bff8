import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Bytes of V8's heap once whatever can go has gone. For files that run in a process of their own. */
export function heapBytes(): number {
  setFlagsFromString('--expose-gc');
  const collect: unknown = runInNewContext('gc');
  if (typeof collect !== 'function') throw new TypeError('no collector');
  for (let time = 0; time < 3; time += 1) collect();
  return process.memoryUsage().heapUsed;
}
