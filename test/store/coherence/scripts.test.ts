import { deepStrictEqual, match, notStrictEqual } from 'node:assert/strict';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RedisScript } from '../../../src/store/redis/link.ts';
import { readSyncReply } from '../../../src/store/coherence/replies.ts';
import { acksScript, leaveScript, purgeScript, syncScript } from '../../../src/store/coherence/scripts.ts';
import {
  modelAcks,
  modelLeave,
  modelPurge,
  modelSync,
  type Answered,
  type CallModel,
  type ServerModel,
  type Told,
} from '../../support/log-server-model.ts';
import { linkToLog, type LogLink } from '../../support/log-link.ts';
import { failureOf } from '../../support/redis-links.ts';
import { replicationOf, startRedis, type RedisProcess } from '../../support/redis.ts';

let redis: RedisProcess;

beforeAll(async () => {
  redis = await startRedis();
});

afterAll(async () => {
  await redis[Symbol.asyncDispose]();
});

const command: RedisScript = {
  name: 'anyCommand',
  keys: 1,
  reply: 'text',
  lua: 'return redis.call(ARGV[1], KEYS[1], unpack(ARGV, 2))',
};

const ids = ['ann', 'bob', 'cat'] as const;

/** Seeded (mulberry32), so that a failure can be had again. */
function seeded(seed: number) {
  let state = seed;
  const next = (below: number): number => {
    state = (state + 0x6d2b79f5) | 0;
    let bits = Math.imul(state ^ (state >>> 15), 1 | state);
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits;
    return ((bits ^ (bits >>> 14)) >>> 0) % below;
  };
  const pick = <T>(values: readonly T[]): T => {
    const value = values[next(values.length)];
    if (value === undefined) throw new Error('nothing to pick');
    return value;
  };
  return { next, pick };
}

/** Runs the same calls against Redis and against the model of it. */
class Twins {
  readonly #to: LogLink;
  readonly #random: ReturnType<typeof seeded>;
  #server: ServerModel;
  readonly begun: string[] = [];

  constructor(to: LogLink, seed: number, hist: string) {
    this.#to = to;
    this.#random = seeded(seed);
    this.#server = { hist, replicas: 0, ctl: undefined, log: [] };
  }

  async step(): Promise<string> {
    const { next } = this.#random;
    const dice = next(100);
    if (dice < 40) return this.#sync();
    if (dice < 75) return this.#purge();
    if (dice < 85) return this.#acks();
    if (dice < 90) return this.#leave();
    return this.#damage(dice);
  }

  async #sync(): Promise<string> {
    const { next, pick } = this.#random;
    const id = pick(ids);
    const epoch = pick([this.#epoch, this.#epoch, 'other', '']);
    const ack = Math.max(0, (this.#server.ctl?.seq ?? 0) + next(8) - 6);
    const batch = pick([1, 2, 60, 500]);
    const checkEpoch = next(8) !== 0;
    const told = this.#told();
    const args = [id, 0, checkEpoch ? 1 : 0, epoch, ack, 2000, batch, ...textsOf(told)];
    const reply = await this.#to.call(syncScript, ...args);
    this.#compare(reply, { id, checkEpoch, told }, (call) =>
      modelSync(this.#server, { ...call, epoch, ack, leaseMs: 2000, batch }),
    );
    return `sync ${id} ${epoch} ${ack} ${batch} ${checkEpoch}`;
  }

  async #purge(): Promise<string> {
    const { next, pick } = this.#random;
    const kind = pick(['hard', 'soft', 'notice']);
    const content = `["t:${next(10)}"]`;
    const most = pick([3, 5, 100]);
    const retentionMs = pick([5, 60_000]);
    const slackMs = pick([-2000, 0, 2000]);
    const id = pick(ids);
    const told = this.#told();
    const limits = [slackMs, retentionMs, most];
    const args = [id, 0, 1, kind, content, ...limits, this.#to.bell, ...textsOf(told)];
    const reply = await this.#to.call(purgeScript, ...args);
    this.#compare(reply, { id, checkEpoch: true, told }, (call) =>
      modelPurge(this.#server, { ...call, kind, content, slackMs, retentionMs, most }),
    );
    return `purge ${kind} ${most} ${retentionMs} ${slackMs}`;
  }

  async #acks(): Promise<string> {
    const asked = [...ids, 'nobody'];
    const reply = await this.#to.call(acksScript, 'ann', 0, 1, ...asked);
    this.#compare(reply, { id: 'ann', checkEpoch: true }, (call) => modelAcks(this.#server, call, asked));
    return 'acks';
  }

  async #leave(): Promise<string> {
    const id = this.#random.pick(ids);
    await this.#to.call(leaveScript, id);
    this.#server = modelLeave(this.#server, id);
    return `leave ${id}`;
  }

  async #damage(dice: number): Promise<string> {
    const { link, control, log } = this.#to;
    const server = this.#server;
    if (dice < 92) {
      await link.unlink(control);
      this.#server = { ...server, ctl: undefined };
      return 'control deleted';
    }
    if (dice < 94) {
      await link.unlink(log);
      this.#server = { ...server, log: [] };
      return 'log deleted';
    }
    if (dice < 96) {
      await link.run(command, [log], ['XTRIM', 'MAXLEN', 1]);
      this.#server = { ...server, log: server.log.slice(-1) };
      return 'log trimmed by somebody';
    }
    const entry = server.log[this.#random.next(server.log.length + 1)];
    if (dice < 98 && entry !== undefined) {
      await link.run(command, [log], ['XDEL', `${entry.seq}-1`]);
      this.#server = { ...server, log: server.log.filter((other) => other !== entry) };
      return `entry ${entry.seq} deleted`;
    }
    if (server.ctl === undefined) return 'nothing';
    await link.run(command, [control], ['HSET', 'hist', 'another']);
    this.#server = { ...server, ctl: { ...server.ctl, hist: 'another' } };
    return 'history changed';
  }

  /** Mostly nothing, as of a version that does not say it, else epochs would end before anything happens in them. */
  #told(): Told | undefined {
    const { next, pick } = this.#random;
    const epoch = pick([this.#epoch, 'e']);
    const ack = Math.max(0, (this.#server.ctl?.seq ?? 0) + next(6) - 5);
    const untilMs = Date.now() - pick([0, 30_000, 90_000]);
    return next(3) === 0 ? { epoch, ack, untilMs } : undefined;
  }

  get #epoch(): string {
    return this.#server.ctl?.epoch ?? '';
  }

  /** The clock and the name of an epoch are Redis' own: the model is told them. */
  #compare(
    reply: unknown,
    said: Pick<CallModel, 'id' | 'checkEpoch' | 'told'>,
    ask: (call: CallModel) => Answered,
  ): void {
    if (!Array.isArray(reply)) throw new Error('no reply');
    const before = this.#epoch;
    const call = { ...said, minReplicas: 0, nowMs: Number(reply[3]), nextEpoch: String(reply[0]) };
    const { server, reply: expected } = ask(call);
    deepStrictEqual(sorted(reply), sorted(expected ?? []));
    if (reply[5] === 1) {
      match(call.nextEpoch, /^[0-9a-f]{16}$/);
      notStrictEqual(call.nextEpoch, before);
      this.begun.push(String(reply[4]));
    }
    this.#server = server;
  }
}

function textsOf(told: Told | undefined): readonly string[] {
  return told === undefined ? [] : [`${told.epoch}-${told.ack}-${told.untilMs}`];
}

/** Members are in no order. */
function sorted(reply: readonly unknown[]): readonly unknown[] {
  const [members] = reply.slice(6, 7);
  if (reply.length !== 9 || !Array.isArray(members)) return reply;
  return [...reply.slice(0, 6), members.map(String).toSorted(), ...reply.slice(7)];
}

describe('the scripts in Redis', () => {
  test.each([1, 2, 3, 4])('answer as their model does, whatever is done and damaged (seed %i)', async (seed) => {
    const to = await linkToLog(redis, `twins${seed}`);
    const twins = new Twins(to, seed, await redis.info('replication', 'master_replid'));
    const done: string[] = [];
    for (let step = 0; step < 400; step += 1) {
      try {
        done.push(await twins.step());
      } catch (error) {
        throw new Error(`after ${done.slice(-8).join('; ')}`, { cause: error });
      }
    }
    expect(new Set(twins.begun)).toEqual(new Set(['new', 'failover', 'log-lost', 'behind']));
  });

  test('keep the entries of one answer within a megabyte, and no entry is skipped for it', async () => {
    const { call, bell } = await linkToLog(redis, 'large');
    const content = JSON.stringify([`t:${'x'.repeat(300_000)}`]);
    for (let index = 0; index < 8; index += 1) {
      await call(purgeScript, 'ann', 0, 1, 'hard', content, 2000, 60_000, 100, bell);
    }
    const seqs: number[] = [];
    let epoch = '';
    let answers = 0;
    for (; seqs.length < 8; answers += 1) {
      const reply = readSyncReply(await call(syncScript, 'ann', 0, 1, epoch, seqs.length, 2000, 500));
      epoch = reply.epoch;
      seqs.push(...reply.entries.map((entry) => entry.seq));
    }
    expect(seqs).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(answers).toBe(2);
  });

  test('invariant 10: without the replicas that are asked for they grant no lease and take no purge', async () => {
    const { call, bell, control } = await linkToLog(redis, 'alone');
    expect((await failureOf(call(syncScript, 'ann', 1, 1, '', 0, 2000, 500))).kind).toBe('noreplicas');
    expect((await failureOf(call(purgeScript, 'ann', 1, 1, 'hard', '["all"]', 2000, 1, 1, bell))).kind).toBe(
      'noreplicas',
    );
    expect((await failureOf(call(acksScript, 'ann', 1, 1, 'ann'))).kind).toBe('noreplicas');
    expect(await redis.cli('exists', control)).toBe('0');
  });

  // With `replica-read-only no` it takes writes, of which its master and the processes there never hear.
  test.each([
    ['grant no lease', syncScript, ['ann', 0, 1, '', 0, 2000, 500]],
    ['take no purge', purgeScript, ['ann', 0, 1, 'hard', '["all"]', 2000, 60_000, 100, 'bell']],
    ['tell of no acknowledgement', acksScript, ['ann', 0, 1, 'ann']],
  ] as const)('on a replica that takes writes they %s', async (_, script, args) => {
    await using master = await startRedis();
    const config = [`replicaof 127.0.0.1 ${master.port}`, 'replica-read-only no'];
    await using replica = await startRedis({ config });
    await expect.poll(() => replicationOf(master, replica), { timeout: 5000 }).toBe('up, online');
    const { call, control, link } = await linkToLog(replica, 'astray');
    expect(await link.run(command, ['astray:x'], ['SET', 'x'])).toBe('OK');
    expect((await failureOf(call(script, ...args))).kind).toBe('readonly');
    expect(await replica.cli('exists', control)).toBe('0');
  });

  test('run when memory is full, where a write of anything else is refused', async () => {
    const { call, bell, link } = await linkToLog(redis, 'full');
    await redis.cli('config', 'set', 'maxmemory', '1');
    try {
      expect((await failureOf(link.run(command, ['full:x'], ['SET', 'x']))).kind).toBe('oom');
      expect(await call(purgeScript, 'ann', 0, 1, 'hard', '["all"]', 2000, 1000, 10, bell)).toMatchObject({ 1: 1 });
      expect(await call(syncScript, 'ann', 0, 1, '', 0, 2000, 500)).toMatchObject({ 1: 1 });
    } finally {
      await redis.cli('config', 'set', 'maxmemory', '0');
    }
  });

  test('forget the members whose lease ended a minute ago when another one joins', async () => {
    const { call, control } = await linkToLog(redis, 'joining');
    const members = async (): Promise<readonly string[]> =>
      (await redis.cli('hkeys', control)).split('\n').filter((field) => field.startsWith('m:'));
    await call(syncScript, 'ann', 0, 1, '', 0, 2000, 500);
    const nowMs = Date.now();
    await redis.cli(
      'hset',
      control,
      'm:just',
      `0:${nowMs - 50_000}`,
      'm:long',
      `0:${nowMs - 65_000}`,
      'm:rubbish',
      'x',
    );
    // One that is known does not look at the others.
    await call(syncScript, 'ann', 0, 1, '', 0, 2000, 500);
    expect(await members()).toContain('m:long');
    await call(syncScript, 'bob', 0, 1, '', 0, 2000, 500);
    expect((await members()).toSorted()).toEqual(['m:ann', 'm:bob', 'm:just']);
  });

  test('invariant 12: a purge takes the same commands, whatever is stored', async () => {
    const { call, bell } = await linkToLog(redis, 'cost');
    const commandsOfPurge = async (): Promise<readonly string[]> => {
      await redis.cli('config', 'resetstat');
      for (let index = 0; index < 10; index += 1) {
        await call(purgeScript, 'ann', 0, 1, 'hard', '["t:many"]', 2000, 60_000, 100, bell);
      }
      const stats = (await redis.cli('info', 'commandstats')).matchAll(/^cmdstat_([^:]+):calls=(\d+)/gm);
      return Array.from(stats, ([, name, calls]) => `${name}=${calls}`).toSorted();
    };
    await commandsOfPurge();
    const before = await commandsOfPurge();
    await redis.cli('eval', "for i = 1, 20000 do redis.call('SET', 'cost:e:' .. i, 'x') end", '0');
    const after = await commandsOfPurge();
    const names = after.map((line) => line.slice(0, line.indexOf('=')));
    expect(names).toContain('xadd');
    expect(names.filter((name) => /^(keys|scan|flush|del|unlink|sscan|hscan)/.test(name))).toEqual([]);
    expect(after).toEqual(before);
  });
});
