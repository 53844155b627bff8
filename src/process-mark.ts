import { secretBytes } from './secret-bytes.ts';

/** Tells the calls of this process from all others (`core/loop-marks.ts`). Who could foresee it could have them refused. */
export function newProcessMark(): string {
  return secretBytes(9).toString('base64url');
}
