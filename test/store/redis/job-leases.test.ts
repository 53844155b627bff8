import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import type { FleetEvent, JobClaim, JobLease, JobLeases } from '../../../src/cache/fleet-ports.ts';
import { connectRedis } from '../../../src/store/redis/client.ts';
import { createJobLeases } from '../../../src/store/redis/job-leases.ts';
import { redisKeys } from '../../../src/store/redis/keys.ts';
import { RedisFailure, type RedisLink, type RedisLinks } from '../../../src/store/redis/link.ts';
import { systemClock } from '../../../src/system-clock.ts';
import { redisConfig } from '../../support/redis-config.ts';
import { startRedis, type RedisProcess } from '../../support/redis.ts';

const leaseMs = 300;
const name = 'warm:hourly:0';
const key = redisKeys('test').job(name);

let redis: RedisProcess;
let links: RedisLinks;
/** What is still renewed at the end of a test. */
const held: JobLease[] = [];

let stack: AsyncDisposableStack;

beforeEach(async () => {
  stack = new AsyncDisposableStack();
  redis = stack.use(await startRedis());
  links = stack.use(connectRedis(redisConfig(redis), { onError: () => undefined }));
  await vi.waitUntil(() => links.control.isReady, { interval: 5, timeout: 5000 });
});

afterEach(async () => {
  for (const lease of held.splice(0)) await lease.finish(0);
  await stack.disposeAsync();
});

/** Time of a process whose timers are held: nothing is renewed until it is told to go on, as while it is frozen. */
class HeldTimers {
  readonly #due = new Set<() => void>();
  /** What its clock is off by; leases lapse on Redis's clock, whatever those of processes say. */
  readonly #offMs: number;

  constructor(offMs = 0) {
    this.#offMs = offMs;
  }

  monotonicMs(): number {
    return systemClock.monotonicMs() + this.#offMs;
  }

  after(_delayMs: number, callback: () => void): () => void {
    this.#due.add(callback);
    return () => void this.#due.delete(callback);
  }

  /** All timers that were set fire. */
  fire(): void {
    const due = [...this.#due];
    this.#due.clear();
    for (const callback of due) callback();
  }
}

interface Member extends JobLeases {
  readonly events: FleetEvent[];
  readonly lost: () => number;
}

function member(
  instanceId: string,
  {
    clock = systemClock,
    link = links.control,
  }: { clock?: typeof systemClock | HeldTimers; link?: Pick<RedisLink, 'run'> } = {},
): Member {
  const events: FleetEvent[] = [];
  const observer = { fleet: (event: FleetEvent) => void events.push(event) };
  const leases = createJobLeases({ link, keys: redisKeys('test'), clock, leaseMs, instanceId, observer });
  return {
    retryMs: leases.retryMs,
    async claim(job) {
      const claim = await leases.claim(job);
      if (claim.kind === 'ours') held.push(claim.lease);
      return claim;
    },
    events,
    lost: () => events.filter((event) => event.kind === 'job' && event.result === 'lost').length,
  };
}

async function ours(leases: JobLeases): Promise<JobLease> {
  const claim = await leases.claim(name);
  if (claim.kind !== 'ours') throw new Error(`it is ${claim.kind}`);
  return claim.lease;
}

async function kindOf(leases: JobLeases): Promise<JobClaim['kind']> {
  return (await leases.claim(name)).kind;
}

describe('a job of the fleet', () => {
  it('is one process’s at a time, done for as long as it says, and then anybody’s', async () => {
    const a = member('a');
    const b = member('b');
    const lease = await ours(a);
    expect([await kindOf(b), await kindOf(a)]).toEqual(['running', 'running']);
    await lease.finish(200);
    expect([await kindOf(a), await kindOf(b)]).toEqual(['done', 'done']);
    await expect.poll(() => kindOf(b)).toBe('ours');
    expect(await kindOf(a)).toBe('running');
  });

  it('is anybody’s at once where it is not held', async () => {
    await (await ours(member('a'))).finish(0);
    expect(await redis.cli('exists', key)).toBe('0');
    await (await ours(member('b'))).finish(0);
  });

  it('is apart from jobs of other names', async () => {
    const lease = await ours(member('a'));
    const other = await member('b').claim('purge:x:1');
    expect(other.kind).toBe('ours');
    await lease.finish(0);
    if (other.kind === 'ours') await other.lease.finish(0);
  });

  it('stays with its holder for as long as it runs, beyond many leases', async () => {
    const lease = await ours(member('a'));
    const b = member('b');
    const untilMs = performance.now() + 3 * leaseMs;
    while (performance.now() < untilMs) expect(await kindOf(b)).toBe('running');
    await lease.finish(60_000);
    expect(await kindOf(b)).toBe('done');
  });

  it('never has a key without an end', async () => {
    const lease = await ours(member('a'));
    const running = Number(await redis.cli('pttl', key));
    expect(running).toBeGreaterThan(0);
    expect(running).toBeLessThanOrEqual(leaseMs);
    await lease.finish(5000.4);
    const done = Number(await redis.cli('pttl', key));
    expect(done).toBeGreaterThan(leaseMs);
    expect(done).toBeLessThanOrEqual(5000);
  });
});

describe('a holder that falls silent', () => {
  it('is taken over from when the lease has lapsed, not before, whatever its clock says', async () => {
    const silent = new HeldTimers(-3_600_000);
    const startMs = performance.now();
    await ours(member('silent', { clock: silent }));
    const b = member('b', { clock: new HeldTimers(3_600_000) });
    await expect.poll(() => kindOf(b), { interval: 5 }).toBe('ours');
    const tookMs = performance.now() - startMs;
    expect(tookMs).toBeGreaterThanOrEqual(leaseMs - 5);
    expect(tookMs).toBeLessThan(leaseMs + 500);
  });

  it('and comes back hears that it has lost it, and neither ends the new run nor vouches for it', async () => {
    const timers = new HeldTimers();
    const frozen = member('frozen', { clock: timers });
    const old = await ours(frozen);
    const b = member('b');
    let taken: JobLease | undefined;
    await expect
      .poll(async () => {
        const claim = await b.claim(name);
        if (claim.kind === 'ours') taken = claim.lease;
        return claim.kind;
      })
      .toBe('ours');
    timers.fire();
    await expect.poll(() => frozen.lost()).toBe(1);
    await old.finish(60_000);
    await old.finish(0);
    expect(frozen.lost()).toBe(1);
    expect(await redis.cli('get', key)).toBe('b');
    expect(await kindOf(member('c'))).toBe('running');
    await taken?.finish(60_000);
    expect(await kindOf(frozen)).toBe('done');
  });

  it('and ends before it hears of anything changes nothing of the new run either', async () => {
    const frozen = member('frozen', { clock: new HeldTimers() });
    const old = await ours(frozen);
    const b = member('b');
    await expect.poll(() => kindOf(b)).toBe('ours');
    await old.finish(60_000);
    expect(frozen.lost()).toBe(1);
    expect(await redis.cli('get', key)).toBe('b');
  });

  it('has it still where nobody has taken it meanwhile', async () => {
    const timers = new HeldTimers();
    const frozen = member('frozen', { clock: timers });
    const lease = await ours(frozen);
    await expect.poll(() => redis.cli('exists', key)).toBe('0');
    timers.fire();
    await expect.poll(() => redis.cli('get', key)).toBe('frozen');
    await lease.finish(60_000);
    expect(frozen.lost()).toBe(0);
    expect(await kindOf(member('b'))).toBe('done');
  });
});

describe('where Redis fails', () => {
  it('nobody knows: a claim is unavailable, and finishing does not reject', async () => {
    const a = member('a');
    const lease = await ours(a);
    await redis.kill();
    expect(await kindOf(member('b'))).toBe('unavailable');
    await lease.finish(60_000);
    await lease.finish(0);
    const failures = a.events.filter((event) => event.kind === 'redis' && event.result !== 'ok');
    expect(failures.length).toBeGreaterThan(0);
  });

  it('a holder takes its job anew when Redis comes back empty', async () => {
    const lease = await ours(member('a'));
    await redis.restart();
    await expect.poll(() => redis.cli('get', key), { timeout: 5000 }).toBe('a');
    await lease.finish(0);
  });

  it('that it is done is said again where it did not arrive', async () => {
    const failing = failingLink();
    const a = member('a', { link: failing.link });
    const lease = await ours(a);
    failing.fail(2);
    await lease.finish(60_000);
    expect(await kindOf(member('b'))).toBe('done');
    const unsent = { ...call(), result: 'closed', durationMs: undefined };
    expect(a.events.filter((event) => event.kind === 'redis')).toEqual([call(), unsent, unsent, call()]);
  });

  it('that it is not done is said once, so that a stop is not held up', async () => {
    const failing = failingLink();
    const lease = await ours(member('a', { link: failing.link, clock: new HeldTimers() }));
    failing.fail(1);
    await lease.finish(0);
    expect(await kindOf(member('b'))).toBe('running');
  });

  it('a claim whose answer was lost is no obstacle to the next', async () => {
    const failing = failingLink();
    const a = member('a', { link: failing.link });
    failing.loseAnswers(1);
    expect(await kindOf(a)).toBe('unavailable');
    expect(await redis.cli('get', key)).toBe('a');
    await (await ours(a)).finish(0);
  });

  it('a renewal that is answered after the end sets no other', async () => {
    const timers = new HeldTimers();
    const lease = await ours(member('a', { clock: timers }));
    timers.fire();
    await lease.finish(0);
    timers.fire();
    await links.control.run({ name: 'ping', keys: 1, reply: 'text', lua: "return redis.call('PING')" }, [key], []);
    expect(await redis.cli('exists', key)).toBe('0');
  });
});

describe('what it tells', () => {
  it('is each claim with its outcome, and each call to Redis', async () => {
    const a = member('a');
    const b = member('b');
    const lease = await ours(a);
    await b.claim(name);
    await lease.finish(1000);
    await b.claim(name);
    const jobs = [...a.events, ...b.events].filter((event) => event.kind === 'job');
    expect(jobs).toEqual([
      { kind: 'job', name, result: 'ours' },
      { kind: 'job', name, result: 'running' },
      { kind: 'job', name, result: 'done' },
    ]);
    const calls = a.events.filter((event) => event.kind === 'redis');
    expect(calls).toEqual([call(), call()]);
  });
});

function call(): object {
  return { kind: 'redis', operation: 'job', result: 'ok', durationMs: expect.any(Number), bytes: 0 };
}

/** The real connection, of which some calls are not sent, or their answers lost. */
function failingLink(): {
  readonly link: Pick<RedisLink, 'run'>;
  readonly fail: (calls: number) => void;
  readonly loseAnswers: (calls: number) => void;
} {
  let unsent = 0;
  let lost = 0;
  return {
    link: {
      async run(script, keys, args) {
        if (unsent > 0) {
          unsent -= 1;
          throw new RedisFailure('closed', 'no connection', { isUnsent: true });
        }
        const reply = await links.control.run(script, keys, args);
        if (lost === 0) return reply;
        lost -= 1;
        throw new RedisFailure('timeout', 'no answer in time');
      },
    },
    fail: (calls) => (unsent = calls),
    loseAnswers: (calls) => (lost = calls),
  };
}
