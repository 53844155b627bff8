import type { JobClaim, JobLease, JobLeases, RedisResult } from '../../cache/fleet-ports.ts';
import type { Clock, Observer } from '../../cache/ports.ts';
import type { RedisKeys } from './keys.ts';
import { RedisFailure, type RedisLink, type RedisScript } from './link.ts';

export interface JobLeaseParts {
  /** The control connection, so that a lease is never renewed behind a large reply. */
  readonly link: Pick<RedisLink, 'run'>;
  readonly keys: Pick<RedisKeys, 'job'>;
  readonly clock: Pick<Clock, 'monotonicMs' | 'after'>;
  /** A lease lapses so long after its holder was last heard of, on Redis's own clock. */
  readonly leaseMs: number;
  /** Random per process start: it is what a lease is held by, so no two processes may share one. */
  readonly instanceId: string;
  readonly observer: Pick<Observer, 'fleet'>;
}

/**
 * One key for each job: the id of who runs it, or `done`. Lapsing is left to Redis, so that no two clocks are compared.
 * Claiming and renewing are one script: both want "mine, for so much longer", and a holder whose key is gone (Redis came
 * back empty, or the lease lapsed without anyone having taken it) may take it anew.
 */
const claimScript: RedisScript = {
  name: 'claimJob',
  keys: 1,
  reply: 'text',
  lua: `#!lua flags=allow-oom
local held = redis.call('GET', KEYS[1])
if not held or held == ARGV[1] then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  return 'ours'
end
if held == 'done' then return 'done' end
return 'running'`,
};

/** Only the holder says that it is done: one that was frozen must not end, or vouch for, somebody else's run. */
const finishScript: RedisScript = {
  name: 'finishJob',
  keys: 1,
  reply: 'text',
  lua: `#!lua flags=allow-oom
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 'lost' end
if ARGV[2] == '0' then redis.call('DEL', KEYS[1]) else redis.call('SET', KEYS[1], 'done', 'PX', ARGV[2]) end
return 'ok'`,
};

/** Work that is over is told to Redis at most so often; untold, it is done once more when the lease has lapsed. */
const finishTries = 3;

/** Leases of jobs in Redis. See {@link JobLeases}. */
export function createJobLeases(parts: JobLeaseParts): JobLeases {
  return new RedisJobLeases(parts);
}

class RedisJobLeases implements JobLeases {
  readonly retryMs: number;
  readonly #parts: JobLeaseParts;
  /** Jobs that run here. By the id alone Redis could not tell this process's two claims of one job apart. */
  readonly #held = new Set<string>();

  constructor(parts: JobLeaseParts) {
    this.#parts = parts;
    this.retryMs = Math.max(1, Math.ceil(parts.leaseMs / 3));
  }

  async claim(name: string): Promise<JobClaim> {
    const claim = await this.#claim(name);
    this.#parts.observer.fleet({ kind: 'job', name, result: claim.kind });
    return claim;
  }

  async #claim(name: string): Promise<JobClaim> {
    if (this.#held.has(name)) return { kind: 'running' };
    this.#held.add(name);
    const reply = await this.#run(claimScript, name, this.#parts.leaseMs);
    if (reply === 'ours') return { kind: 'ours', lease: this.#hold(name) };
    this.#held.delete(name);
    if (reply === undefined) return { kind: 'unavailable' };
    return { kind: reply === 'done' ? 'done' : 'running' };
  }

  /** Renews until it is finished, or somebody else has it. */
  #hold(name: string): JobLease {
    const { clock } = this.#parts;
    let state: 'held' | 'lost' | 'finished' = 'held';
    let cancel = clock.after(this.retryMs, () => void renew());
    const renew = async (): Promise<void> => {
      const reply = await this.#run(claimScript, name, this.#parts.leaseMs);
      // A renewal after the end would hold a job that nobody runs.
      if (state !== 'held') return;
      if (reply === 'ours' || reply === undefined) {
        cancel = clock.after(this.retryMs, () => void renew());
      } else {
        state = 'lost';
        this.#tellLost(name);
      }
    };
    const finish = async (holdMs: number): Promise<void> => {
      const before = state;
      state = 'finished';
      cancel();
      if (before === 'held') await this.#finish(name, Math.max(0, Math.round(holdMs)));
      if (before !== 'finished') this.#held.delete(name);
    };
    return { finish };
  }

  async #finish(name: string, holdMs: number): Promise<void> {
    for (let tries = 1; ; tries += 1) {
      const reply = await this.#run(finishScript, name, holdMs);
      if (reply === 'lost') this.#tellLost(name);
      // What is free to be done again anyway is not worth holding up a stop for.
      if (reply !== undefined || holdMs === 0 || tries === finishTries) return;
      await this.#pause(Math.min(500, this.retryMs / finishTries));
    }
  }

  #tellLost(name: string): void {
    this.#parts.observer.fleet({ kind: 'job', name, result: 'lost' });
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => void this.#parts.clock.after(ms, resolve));
  }

  /** The script's word; `undefined`: Redis did not answer, and it may or may not have been carried out. */
  async #run(script: RedisScript, name: string, ms: number): Promise<string | undefined> {
    const { link, keys, clock, instanceId } = this.#parts;
    const startMs = clock.monotonicMs();
    try {
      const reply = await link.run(script, [keys.job(name)], [instanceId, ms]);
      this.#tell('ok', clock.monotonicMs() - startMs);
      return String(reply);
    } catch (error) {
      const { kind = 'other', isUnsent = false } = error instanceof RedisFailure ? error : {};
      this.#tell(kind, isUnsent ? undefined : clock.monotonicMs() - startMs);
      return undefined;
    }
  }

  #tell(result: RedisResult, durationMs: number | undefined): void {
    this.#parts.observer.fleet({ kind: 'redis', operation: 'job', result, durationMs, bytes: 0 });
  }
}
