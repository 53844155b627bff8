import { runLoad } from './load.ts';
import type { Server } from './servers.ts';

/** What is stored before something is measured. */
export interface Fill {
  readonly wrk: string;
  /** Locations are this and a number from 1 on: `city1`, and so on. */
  readonly prefix: string;
  readonly responses: number;
  /** Numbers up to this one are there already; 0 unless told otherwise. */
  readonly after?: number;
  readonly bytes: number;
  /** Core of the load. */
  readonly core: number;
  readonly say: (line: string) => void;
}

/**
 * Misses until at least so many are stored in all, which it resolves to. The last few of each stretch may be cut off, so some
 * numbers are missing.
 */
export async function fill(server: Server, options: Fill): Promise<number> {
  const { wrk, prefix, responses, after = 0, bytes, core, say } = options;
  let stored = after;
  let idle = 0;
  while (stored < responses) {
    const env = { PREFIX: prefix, FIRST: String(stored + 1), SIZE: String(bytes) };
    // Short stretches near the end: how many there will be is known only afterwards.
    const seconds = responses - stored > 50_000 ? 5 : 1;
    const result = await runLoad(server.origin, { wrk, script: 'distinct.lua', env, connections: 16, seconds, core });
    // A stretch without an answer can be a busy machine's doing, several are not.
    idle = result.requests === 0 ? idle + 1 : 0;
    if (result.errors > 16 || idle > 3) {
      throw new Error(`${server.name}: ${result.errors} of ${result.requests} misses failed`);
    }
    stored += result.requests;
    if (seconds > 1) say(`${server.name}: ${stored} of ${responses} stored, ${result.perSecond.toFixed(0)} a second`);
  }
  return stored;
}
