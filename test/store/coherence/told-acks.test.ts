import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type LogHead, readSyncReply } from '../../../src/store/coherence/replies.ts';
import { leaveScript, purgeScript, syncScript } from '../../../src/store/coherence/scripts.ts';
import { linkToLog } from '../../support/log-link.ts';
import { startRedis, type RedisProcess } from '../../support/redis.ts';

let redis: RedisProcess;

beforeAll(async () => {
  redis = await startRedis();
});

afterAll(async () => {
  await redis[Symbol.asyncDispose]();
});

/** Of what any of them answers. */
function readHead(reply: unknown): Pick<LogHead, 'epoch' | 'made'> & { readonly reason: unknown } {
  if (!Array.isArray(reply)) throw new Error('no reply');
  return { epoch: String(reply[0]), reason: reply[4], made: reply[5] === 1 };
}

describe('what a process was told that it has acknowledged lets the scripts', () => {
  test.each([
    ['a look', syncScript, (epoch: string) => [epoch, 1, 2000, 500]],
    ['a purge', purgeScript, () => ['hard', '["t:x"]', 2000, 60_000, 100, 'bell']],
  ] as const)(
    'begin an epoch at %s of who was told what is not there any more, unless he may have been forgotten',
    async (what, script, rest) => {
      const { call, bell, control } = await linkToLog(redis, `told-${what.length}`);
      const limits = [2000, 60_000, 100, bell] as const;
      await call(purgeScript, 'bob', 0, 1, 'hard', '["all"]', ...limits);
      const { epoch } = readSyncReply(await call(syncScript, 'bob', 0, 1, '', 0, 2000, 500));
      const after = async (told: string) => {
        await call(leaveScript, 'ann');
        return readHead(await call(script, 'ann', 0, 1, ...rest(epoch), told));
      };
      const nowMs = Date.now();
      // By a version that does not say it, and of another epoch.
      expect(await after('')).toMatchObject({ epoch });
      expect(await after(`0123456789abcdef-1-${nowMs}`)).toMatchObject({ epoch });
      // It was held up on its way, and another process joined meanwhile, or the clock of Redis was set forward.
      expect(await after(`${epoch}-1-${nowMs - 61_000}`)).toMatchObject({ epoch });
      await redis.cli('hset', control, 'm:ann', `1:${nowMs}`);
      expect(readHead(await call(script, 'ann', 0, 1, ...rest(epoch), `${epoch}-1-${nowMs}`))).toMatchObject({ epoch });
      expect(await after(`${epoch}-1-${nowMs - 30_000}`)).toMatchObject({ reason: 'behind', made: true });
    },
  );

  test('let a look that was held up on its way take nothing back, also one from before the epoch', async () => {
    const { call, bell } = await linkToLog(redis, 'held-up');
    await call(purgeScript, 'bob', 0, 1, 'hard', '["all"]', 2000, 60_000, 100, bell);
    const { epoch } = readSyncReply(await call(syncScript, 'ann', 0, 1, '', 0, 2000, 500));
    await call(syncScript, 'ann', 0, 1, epoch, 1, 2000, 500);
    const told = `${epoch}-1-${Date.now()}`;
    for (const [of, ack] of [
      [epoch, 0],
      ['', 0],
      ['0123456789abcdef', 9],
    ] as const) {
      await call(syncScript, 'ann', 0, 1, of, ack, 2000, 500);
      const reply = readSyncReply(await call(syncScript, 'ann', 0, 1, epoch, 1, 2000, 500, told));
      expect(reply).toMatchObject({ epoch, made: false });
    }
  });
});
