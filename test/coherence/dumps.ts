import { copyFileSync } from 'node:fs';

import type { RedisProcess } from '../support/redis.ts';

/** Saves now, and keeps that aside. */
export async function saveAside(redis: RedisProcess): Promise<void> {
  await redis.cli('save');
  copyFileSync(`${redis.folder}/dump.rdb`, `${redis.folder}/aside.rdb`);
}

/** Kills it and starts it from what was kept aside; `between` happens while it is down. */
export async function restartFromAside(
  redis: RedisProcess,
  between: () => Promise<void> = async () => {},
): Promise<void> {
  await redis.kill();
  copyFileSync(`${redis.folder}/aside.rdb`, `${redis.folder}/dump.rdb`);
  await between();
  await redis.restart();
}
