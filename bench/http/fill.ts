import { runLoad } from './load.ts';
import type { Server } from './servers.ts';

/** What is stored before something is measured. */
export interface Fill {
  readonly wrk: string;
  /** Locations are this and a number from 1 on: `city1`, and so on. */
  readonly prefix: string;
  readonly responses: number;
  /** Path below which they are; `/v1/forecast` unless told otherwise. */
  readonly path?: string;
  /** Numbers up to this one are there already; 0 unless told otherwise. */
  readonly after?: number;
  readonly bytes: number;
  /** Core of the load. */
  readonly core: number;
  readonly say: (line: string) => void;
}

/** What a stretch may have asked for and not got when it ended is asked for again by the next one. */
const overlap = 1000;

/**
 * Misses until at least so many are stored in all, which it resolves to. A few numbers may be missing: those of the last thousand that
 * were cut off at the end, and any that took longer than a thousand others.
 */
export async function fill(server: Server, options: Fill): Promise<number> {
  const { wrk, prefix, responses, path = '/v1/forecast', after = 0, bytes, core, say } = options;
  let stored = after;
  let idle = 0;
  while (stored < responses) {
    const first = Math.max(1, stored + 1 - overlap);
    const env = { TARGET: path, PREFIX: prefix, FIRST: String(first), SIZE: String(bytes) };
    // Short stretches near the end: how many there will be is known only afterwards.
    const seconds = responses - stored > 50_000 ? 5 : 1;
    const result = await runLoad(server.origin, { wrk, script: 'distinct.lua', env, connections: 16, seconds, core });
    // A stretch without an answer can be a busy machine's doing, several are not.
    idle = result.requests <= stored + 1 - first ? idle + 1 : 0;
    if (result.errors > 16 || idle > 3) {
      throw new Error(`${server.name}: ${result.errors} of ${result.requests} misses failed`);
    }
    stored = Math.max(stored, first - 1 + result.requests);
    if (seconds > 1) say(`${server.name}: ${stored} of ${responses} stored, ${result.perSecond.toFixed(0)} a second`);
  }
  return stored;
}
