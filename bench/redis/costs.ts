import type { RedisProcess } from '../../test/support/redis.ts';

/** What a command has cost since the start or the last `CONFIG RESETSTAT`. */
export interface CommandCost {
  readonly calls: number;
  /** Processor time of the server, microseconds; of a script with all that it calls. */
  readonly totalUs: number;
}

/** By INFO commandstats. */
export async function commandCost(redis: Pick<RedisProcess, 'info'>, command: string): Promise<CommandCost> {
  const line = await redis.info('commandstats', `cmdstat_${command}`);
  const number = (field: string): number => Number(new RegExp(`\\b${field}=(\\d+)`).exec(line)?.[1] ?? 0);
  return { calls: number('calls'), totalUs: number('usec') };
}
