import { redisKeys } from '../../src/store/redis/keys.ts';
import type { RedisScript } from '../../src/store/redis/link.ts';
import { redisConfig } from './redis-config.ts';
import { connected, openLinks } from './redis-links.ts';
import type { RedisProcess } from './redis.ts';

export type LogLink = Awaited<ReturnType<typeof linkToLog>>;

/** A connection by which the scripts of the purge log are called as such. */
export async function linkToLog(redis: RedisProcess, keyPrefix: string) {
  const links = openLinks(redisConfig(redis, { keyPrefix }));
  await connected(links);
  const { control, log, bell } = redisKeys(keyPrefix);
  const call = (script: RedisScript, ...args: readonly (string | number)[]): Promise<unknown> =>
    links.control.run(script, [control, log], args);
  return { link: links.control, control, log, bell, call };
}
