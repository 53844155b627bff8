import { createHash } from 'node:crypto';

/** Lower-case hex, as the keys want it. */
export function sha256(text: string): string {
  return createHash('sha256').update(text, 'utf8').digest('hex');
}
