import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';

import type { FillLock } from '../../../src/cache/fleet-ports.ts';
import type { StoredItem } from '../../../src/core/stored-response.ts';
import type { RedisLink, RedisLinks } from '../../../src/store/redis/link.ts';
import { systemClock } from '../../../src/system-clock.ts';
import { routeOf } from '../../support/policy.ts';
import type { redisConfig } from '../../support/redis-config.ts';
import { startRedis, type RedisProcess } from '../../support/redis.ts';
import {
  askedBy,
  connected,
  member,
  overRedis,
  patient,
  type Member,
  type MemberOptions,
} from '../../support/shared-tier.ts';
import { ownBytes, storedResponse, varyMarker, type ItemTraits } from '../../support/stored-items.ts';

const key = 'weather-forecast|/v1/forecast?location=berlin';
/** Longer than a busy machine holds up a test: a lock lapses only where a test has it lapse. */
const fillLockMs = 60_000;
const asked = askedBy(routeOf({}, { name: 'weather-forecast' }), '/v1/forecast?location=berlin');

let redis: RedisProcess;
let links: RedisLinks;
let keyPrefix = '';
let count = 0;
let first: Member;
let second: Member;
const members: Member[] = [];

// What was started is ended also where the rest could not be.
const started = new AsyncDisposableStack();

beforeAll(async () => {
  redis = started.use(await startRedis());
  links = started.use(await connected(redis, patient));
});

afterAll(() => started.disposeAsync());

beforeEach(() => {
  count += 1;
  keyPrefix = `locks-${count}`;
  first = process();
  second = process({ clock: first.clock, purgeLog: first.purgeLog });
});

afterEach(() => {
  for (const made of members.splice(0)) made[Symbol.dispose]();
});

function process(more: Partial<MemberOptions> = {}, config: Parameters<typeof redisConfig>[1] = {}): Member {
  const made = member({ ...overRedis({ redis, links, keyPrefix }, { fillLockMs, ...config }), ...more });
  members.push(made);
  return made;
}

function lockKeyOf(made: Member): string {
  return made.keys.lock(made.redis.entryOf(key) ?? '');
}

/** Real timers, but for those of this length, which `instead` has. */
function timersBut(lengthMs: number, instead: (run: () => void) => () => void): typeof systemClock {
  return { ...systemClock, after: (ms, run) => (ms === lengthMs ? instead(run) : systemClock.after(ms, run)) };
}

async function claim(made: Member, known?: StoredItem) {
  return made.locks.claim({ key, asked, known });
}

async function ours(made: Member, known?: StoredItem): Promise<FillLock> {
  const answer = await claim(made, known);
  if (answer.kind !== 'ours') throw new Error(`it is ${answer.kind}`);
  return answer.lock;
}

async function redisNowMs(): Promise<number> {
  const [seconds, micros] = (await redis.cli('time')).split('\n');
  return Number(seconds) * 1000 + Number(micros) / 1000;
}

/** What is said now was said for a second at some time since then, all by the clock of Redis. */
async function expectSaidForASecond(beforeMs: number): Promise<void> {
  const endsMs = Number(await redis.cli('pexpiretime', lockKeyOf(first)));
  // It counts whole milliseconds.
  expect(endsMs).toBeGreaterThan(beforeMs + 999);
  expect(endsMs).toBeLessThanOrEqual((await redisNowMs()) + 1000);
}

async function kindOf(made: Member, known?: StoredItem): Promise<string> {
  const answer = await claim(made, known);
  // What a test is given by the way it gives back, so that nothing is renewed for ever.
  if (answer.kind === 'ours') answer.lock.release('stored');
  return answer.kind;
}

function response(made: Member, traits: Partial<ItemTraits> = {}) {
  return storedResponse({ key, position: made.position(), nowMs: made.clock.nowMs(), ...traits });
}

/** A member for which no answer is quick. */
function farAway(more: Partial<MemberOptions> = {}): Member {
  const { clock, purgeLog } = first;
  const made = process({ clock, purgeLog, ...more }, patient);
  expect(made.gate.isFar(key)).toBe(true);
  return made;
}

describe('who may fetch', () => {
  test('is the first who asks; the others are told to wait', async () => {
    const lock = await ours(first);
    expect(await kindOf(second)).toBe('theirs');
    expect(await kindOf(first)).toBe('theirs');
    lock.release('stored');
  });

  test('of 200 that ask at once is one', async () => {
    const answers = await Promise.all(Array.from({ length: 200 }, (_, n) => claim(n % 2 === 0 ? first : second)));
    const locks = answers.flatMap((answer) => (answer.kind === 'ours' ? [answer.lock] : []));
    expect(locks).toHaveLength(1);
    expect(answers.filter(({ kind }) => kind === 'theirs')).toHaveLength(199);
    locks[0]?.release('stored');
  });

  test('is the next who asks, once the first has let go without storing anything', async () => {
    (await ours(first)).release('stored');
    await expect.poll(() => kindOf(second)).toBe('ours');
  });

  test('is another when its holder was not heard of for the length of a lock', async () => {
    // The timers of a process that was killed never fire.
    const killed = process({
      clock: first.clock,
      purgeLog: first.purgeLog,
      timers: { ...systemClock, after: () => () => undefined },
    });
    await ours(killed);
    expect(await kindOf(second)).toBe('theirs');
    const pttl = Number(await redis.cli('pttl', lockKeyOf(first)));
    expect(pttl).toBeGreaterThan(0);
    expect(pttl).toBeLessThanOrEqual(fillLockMs);
    // What is left of it passes.
    await redis.cli('pexpire', lockKeyOf(first), '1');
    await expect.poll(() => kindOf(second)).toBe('ours');
  });

  test('is its holder for as long as it fetches: the lock is renewed', async () => {
    // A third of a lock passes quickly.
    const timers = timersBut(fillLockMs / 3, (run) => systemClock.after(20, run));
    const holder = process({ clock: first.clock, purgeLog: first.purgeLog, timers });
    const lock = await ours(holder);
    const lockKey = lockKeyOf(holder);
    const renewals = () => holder.results('claim').length - 1;
    await expect.poll(renewals).toBeGreaterThan(4);
    // To its whole length, whatever was left.
    await redis.cli('pexpire', lockKey, String(fillLockMs / 2));
    await expect.poll(async () => Number(await redis.cli('pttl', lockKey))).toBeGreaterThan(fillLockMs / 2);
    expect(await kindOf(second)).toBe('theirs');
    lock.release('stored');
    await expect.poll(() => redis.cli('exists', lockKey)).toBe('0');
    const told = renewals();
    expect(await kindOf(second)).toBe('ours');
    expect(renewals()).toBe(told);
  });

  test('does not let go of a lock that has become another’s', async () => {
    const lock = await ours(first);
    const lockKey = lockKeyOf(first);
    await redis.cli('set', lockKey, 'somebody-else', 'px', '60000');
    lock.release('unshared');
    await expect.poll(() => first.results('release')).toEqual(['ok']);
    expect(await redis.cli('get', lockKey)).toBe('somebody-else');
  });
});

describe('what another has fetched', () => {
  test('is the answer, and is in memory then', async () => {
    const lock = await ours(first);
    const item = response(first);
    expect(first.tiered.put(item)).toBe('stored');
    lock.release('stored');
    await expect.poll(() => first.results('release')).toEqual(['ok']);
    const answer = await claim(second);
    expect(answer).toMatchObject({ kind: 'stored', read: { item: { key, body: item.body }, tier: 'redis' } });
    expect(second.memory.get(key)?.item).toMatchObject({ body: item.body });
    const tally = answer.kind === 'stored' ? answer.read.tally : undefined;
    if (tally !== undefined) tally.hits += 1;
    expect(second.memory.get(key)?.tally.hits).toBe(1);
  });

  test('is in Redis before the lock is gone, however long compressing it takes', async () => {
    const lock = await ours(first);
    const body = Buffer.concat([Buffer.alloc(900_000, 'ab'), randomBytes(100_000)]);
    first.tiered.put(response(first, { body }));
    lock.release('stored');
    const kinds = new Set<string>();
    await expect
      .poll(
        async () => {
          const answer = await claim(second);
          kinds.add(answer.kind);
          return answer.kind;
        },
        { interval: 1 },
      )
      .toBe('stored');
    expect(kinds).not.toContain('ours');
    expect(kinds).not.toContain('unshared');
  });

  test('is no answer where it is what is known already', async () => {
    const item = response(first);
    await first.redis.put(item);
    expect(await kindOf(second)).toBe('stored');
    expect(await kindOf(second, item)).toBe('ours');
  });

  test('is an answer where it was asked for later than what is known, and none where earlier', async () => {
    const item = response(first);
    await first.redis.put(item);
    expect(await kindOf(second, response(second, { nowMs: second.clock.nowMs() - 1000 }))).toBe('stored');
    expect(await kindOf(second, response(second, { nowMs: second.clock.nowMs() + 1000 }))).toBe('ours');
  });

  test('is an answer where what is known is of another epoch, however far that had come', async () => {
    await first.redis.put(response(first));
    const position = { epoch: 'fedcba9876543210', seq: 1000 };
    const known = response(second, { position, nowMs: second.clock.nowMs() + 1000 });
    expect(await kindOf(second, known)).toBe('stored');
  });

  test('is an answer where it is a marker and a response is known', async () => {
    await first.redis.put(varyMarker({ key, position: first.position(), nowMs: first.clock.nowMs() }));
    expect(await kindOf(second, response(second))).toBe('stored');
    const marker = varyMarker({ key, position: first.position(), nowMs: first.clock.nowMs() });
    expect(await kindOf(second, marker)).toBe('ours');
  });

  test('is as good as absent where a purge covers it: the lock is given in the same claim', async () => {
    await first.redis.put(response(first));
    await first.purgeLog.append({ scopes: [`k:${key}`], soft: false });
    expect(await kindOf(second)).toBe('ours');
  });

  test('is as good as absent where it is damaged', async () => {
    await first.redis.put(response(first));
    await redis.cli('append', first.redis.entryOf(key) ?? '', 'x');
    expect(await kindOf(second)).toBe('ours');
    expect(second.events).toContainEqual({ kind: 'unusable', reason: 'checksum' });
  });

  test('is as good as absent where it is not of this program', async () => {
    await redis.cli('set', first.redis.entryOf(key) ?? '', 'something else that is long enough to be one of ours');
    expect(await kindOf(second)).toBe('ours');
  });
});

describe('what cannot be shared', () => {
  test('is said for a second, so that those who wait fetch all at once and not one after the other', async () => {
    const lock = await ours(first);
    const beforeMs = await redisNowMs();
    lock.release('unshared');
    await expect.poll(() => kindOf(second)).toBe('unshared');
    expect(await kindOf(first)).toBe('unshared');
    await expectSaidForASecond(beforeMs);
  });

  test('is also what Redis did not take', async () => {
    const small = process({ clock: first.clock, purgeLog: first.purgeLog }, { maxObjectBytes: 1024 });
    const lock = await ours(small);
    small.tiered.put(response(small, { body: randomBytes(5000) }));
    lock.release('stored');
    await expect.poll(() => kindOf(second)).toBe('unshared');
  });
});

describe('a fetch under a lock', () => {
  test('tells those who wait the position that it was claimed at, so that they know what a purge has made useless', async () => {
    await first.purgeLog.append({ scopes: ['r:other'], soft: false });
    const lock = await ours(first);
    const position = first.position();
    await first.purgeLog.append({ scopes: ['r:other'], soft: false });
    expect(position.seq).toBe(1);
    expect(await claim(second)).toEqual({ kind: 'theirs', position });
    lock.release('stored');
  });

  test('of another version, which tells no position, is waited for', async () => {
    await redis.cli('set', lockKeyOf(first), randomBytes(8).toString('hex'), 'px', '60000');
    expect(await claim(second)).toEqual({ kind: 'theirs' });
  });

  test('that upstream did not answer in time is over for who waited for it, and for nobody else', async () => {
    const lock = await ours(first);
    expect(await kindOf(second)).toBe('theirs');
    const beforeMs = await redisNowMs();
    lock.release('timeout');
    const waited = { key, asked, known: undefined, hasWaited: true };
    await expect.poll(async () => (await second.locks.claim(waited)).kind).toBe('timeout');
    expect(await kindOf(second)).toBe('unshared');
    await expectSaidForASecond(beforeMs);
  });

  test('ends for the others when all that it wrote is in Redis, and a marker is not there before its variant', async () => {
    const variant = `${key} accept-language=de`;
    const lock = await ours(first);
    const body = Buffer.concat([Buffer.alloc(900_000, 'ab'), randomBytes(100_000)]);
    first.tiered.put(response(first, { key: variant, body }));
    first.tiered.put(varyMarker({ key, position: first.position(), nowMs: first.clock.nowMs() }));
    lock.release('stored', [key, variant]);
    const kinds: string[] = [];
    await expect
      .poll(
        async () => {
          const { kind } = await claim(second);
          const isWhole = kind !== 'stored' || (await second.redis.get(variant)) !== undefined;
          kinds.push(isWhole ? kind : 'a marker alone');
          return kinds.at(-1);
        },
        { interval: 1 },
      )
      .toBe('stored');
    expect(new Set(kinds.slice(0, -1))).toEqual(new Set(['theirs']));
    await expect.poll(() => redis.cli('exists', lockKeyOf(first))).toBe('0');
  });

  test('cannot be shared where one of the things that it wrote is not in Redis', async () => {
    const small = process({ clock: first.clock, purgeLog: first.purgeLog }, { maxObjectBytes: 1024 });
    const variant = `${key} accept-language=de`;
    const lock = await ours(small);
    small.tiered.put(response(small, { key: variant, body: randomBytes(1000) }));
    lock.release('stored', [key, variant]);
    await expect.poll(() => kindOf(second)).toBe('unshared');
  });
});

describe('a claim that is foreseen', () => {
  test('is sent with the look-up where Redis is not known to be near, and its lock is there when it is asked for', async () => {
    const far = farAway();
    const looked = far.tiered.get(key, asked);
    expect(await kindOf(second)).toBe('theirs');
    expect(await looked).toBeUndefined();
    // All of the budget has been waited: what is answered now was asked before.
    const answer = await far.locks.claim({ key, asked, known: undefined, waitedMs: 5000 });
    expect(answer.kind).toBe('ours');
    expect(far.results('claim')).toEqual(['ok']);
    if (answer.kind === 'ours') answer.lock.release('stored');
    await expect.poll(() => kindOf(second)).toBe('ours');
  });

  test('is not sent where Redis has answered quickly just now', async () => {
    const near = process();
    await near.redis.get(key);
    expect(near.gate.isFar(key)).toBe(false);
    await near.tiered.get(key, asked);
    expect(near.results('claim')).toEqual([]);
    expect(await kindOf(second)).toBe('ours');
  });

  test('brings no value, and takes no lock, where there is something to be read', async () => {
    const body = randomBytes(5000);
    await first.redis.put(response(first, { body }));
    const far = farAway();
    expect(await far.tiered.get(key, asked)).toMatchObject({ item: { body }, tier: 'redis' });
    await expect.poll(() => far.results('claim')).toEqual(['hit']);
    expect(far.events).toContainEqual(expect.objectContaining({ operation: 'claim', result: 'hit', bytes: 0 }));
    expect(await redis.cli('exists', lockKeyOf(far))).toBe('0');
  });

  test('gives its lock back where nobody comes for it', async () => {
    const late: (() => void)[] = [];
    // So long it waits for somebody to come.
    const far = farAway({ timers: timersBut(50, (run) => (late.push(run), () => undefined)) });
    expect(await far.tiered.get(key, asked)).toBeUndefined();
    await expect.poll(() => late.length).toBe(1);
    expect(await kindOf(second)).toBe('theirs');
    for (const run of late) run();
    await expect.poll(() => kindOf(second)).toBe('ours');
    expect(far.results('release')).toEqual(['ok']);
  });

  test('is made anew where it was about something else', async () => {
    const far = farAway();
    const looked = far.tiered.get(key, asked);
    const known = response(far, { nowMs: far.clock.nowMs() + 1000 });
    const answer = await far.locks.claim({ key, asked, known });
    await looked;
    expect(far.results('claim')).toEqual(['ok', 'ok']);
    if (answer.kind === 'ours') answer.lock.release('stored');
    await expect.poll(() => kindOf(second)).toBe('ours');
  });

  test('of an epoch that is none is reported, and disturbs nothing', async () => {
    const far = farAway();
    far.locks.foresee({ key, asked, known: response(far, { position: { epoch: 'not-an-epoch', seq: 0 } }) });
    expect(far.bugs).toEqual([new RangeError('an epoch has 16 hex digits')]);
    expect(await kindOf(far)).toBe('ours');
  });
});

describe('a bug on the way to Redis', () => {
  const nonsense = { epoch: 'not-an-epoch', seq: 0 };

  test('such as an epoch that is none makes a claim unavailable, and is reported', async () => {
    expect(await kindOf(first, response(first, { position: nonsense }))).toBe('unavailable');
    expect(first.bugs).toEqual([new RangeError('an epoch has 16 hex digits')]);
  });

  test('in a renewal or release ends nothing, and is reported', async () => {
    const broken: RedisLink = {
      isReady: true,
      get: (name) => links.data.get(name),
      unlink: (name) => links.data.unlink(name),
      onReady: () => undefined,
      run: (script, keys, args) =>
        script.name === 'claimFill' ? links.data.run(script, keys, args) : Promise.reject(new TypeError(script.name)),
    };
    const made = process({ link: broken, clock: first.clock, purgeLog: first.purgeLog }, { fillLockMs: 300 });
    const lock = await ours(made);
    await expect.poll(() => made.bugs.length).toBeGreaterThan(0);
    lock.release('stored');
    await expect.poll(() => made.bugs.map(String)).toContain('TypeError: releaseFill');
    expect(made.bugs.map(String)).toContain('TypeError: renewFill');
  });
});

describe('a Redis that does not answer', () => {
  test('is unavailable at once without a lease, and where the budget is spent', async () => {
    const unleased = process({ leased: () => false });
    expect(await kindOf(unleased)).toBe('unavailable');
    const answer = await first.locks.claim({ key, asked, known: undefined, waitedMs: 5000 });
    expect(answer.kind).toBe('unavailable');
    expect([...unleased.results('claim'), ...first.results('claim')]).toEqual(['lease', 'spent']);
  });

  test('and gives a lock too late leaves none behind', async () => {
    const gone = Promise.withResolvers<void>();
    const slow: RedisLink = {
      isReady: true,
      get: (name) => links.data.get(name),
      unlink: (name) => links.data.unlink(name),
      onReady: () => undefined,
      async run(script, keys, args) {
        const reply = await links.data.run(script, keys, args);
        if (script.name === 'claimFill') await gone.promise;
        return reply;
      },
    };
    const late = process({ link: slow, clock: first.clock, purgeLog: first.purgeLog }, { timeoutMs: 30 });
    expect(await kindOf(late)).toBe('unavailable');
    expect(await kindOf(second)).toBe('theirs');
    gone.resolve();
    await expect.poll(() => kindOf(second)).toBe('ours');
  });

  test('because it is full is unavailable: what is fetched could not be shared', async () => {
    await using full = await startRedis({ config: ['maxmemory 1kb', 'maxmemory-policy noeviction'] });
    await using fullLinks = await connected(full, patient);
    const made = process({ link: fullLinks.data });
    expect(await kindOf(made)).toBe('unavailable');
    expect(made.results('claim')).toEqual(['oom']);
    await made.redis.put(response(made, { body: ownBytes('x') }));
    expect(made.results('put')).toEqual(['oom']);
    expect(await made.redis.get(key)).toBeUndefined();
    expect(made.gate.status().breaker).toBe('closed');
  });
});
