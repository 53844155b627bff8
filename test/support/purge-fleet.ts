import { randomUUID } from 'node:crypto';
import { expect, onTestFinished } from 'vitest';

import type { FleetEvent } from '../../src/cache/fleet-ports.ts';
import type { Clock, PurgeReceipt } from '../../src/cache/ports.ts';
import type { RedisConfig } from '../../src/core/config.ts';
import type { Problem, Result } from '../../src/core/problem.ts';
import type { Position } from '../../src/core/stored-response.ts';
import { allRules, type CoherenceRules } from '../../src/store/coherence/rules.ts';
import type { SharedPurgeLog } from '../../src/store/coherence/shared-log.ts';
import { createSharedPurgeLog } from '../../src/store/coherence/shared-purge-log.ts';
import { redisKeys } from '../../src/store/redis/keys.ts';
import type { RedisBell } from '../../src/store/redis/link.ts';
import { systemClock } from '../../src/system-clock.ts';
import { redisConfig } from './redis-config.ts';
import { openLinks, type OpenLinks } from './redis-links.ts';
import type { RedisProcess } from './redis.ts';

/** What one process has of the fleet's purge log. */
export interface LogMember {
  readonly id: string;
  readonly log: SharedPurgeLog;
  readonly links: OpenLinks;
  readonly events: FleetEvent[];
  readonly warnings: string[];
  readonly limits: string[];
  /** Fails where there is no lease. */
  position(): Position;
  purge(...scopes: readonly string[]): Promise<PurgeReceipt>;
  /** What of the kind was told, in order. */
  told<K extends FleetEvent['kind']>(kind: K): readonly Extract<FleetEvent, { readonly kind: K }>[];
}

export interface LogMemberOptions {
  readonly config?: Partial<RedisConfig>;
  readonly rules?: Partial<CoherenceRules>;
  readonly clock?: Clock;
  readonly onLease?: () => void;
  /** Nothing is heard of purges but by asking. */
  readonly deaf?: boolean;
  readonly bell?: RedisBell;
  /** Keys by rules for queries. */
  readonly searching?: boolean;
  /** It is not waited for its lease. */
  readonly unstarted?: boolean;
}

const silence: RedisBell = { onRing: () => {} };

/** Joins the fleet; leaves it at the end of the test. */
export async function joinFleet(
  redis: Pick<RedisProcess, 'port' | 'password'>,
  options: LogMemberOptions = {},
): Promise<LogMember> {
  const config = redisConfig(redis, { leaseMs: 400, ...options.config });
  const links = openLinks(config);
  const id = randomUUID();
  const events: FleetEvent[] = [];
  const warnings: string[] = [];
  const limits: string[] = [];
  const log = createSharedPurgeLog({
    link: links.control,
    bell: options.deaf === true ? silence : (options.bell ?? links.bell),
    keys: redisKeys(config.keyPrefix),
    config,
    clock: options.clock ?? systemClock,
    observer: { fleet: (event) => events.push(event), limit: (option) => limits.push(option) },
    instanceId: id,
    rules: { ...allRules, ...options.rules },
    searching: options.searching,
    onWarning: (message) => warnings.push(message),
    ...(options.onLease === undefined ? {} : { onLease: options.onLease }),
  });
  onTestFinished(() => log.leave());
  const position = (): Position => {
    const taken = log.position();
    if (taken === undefined) throw new Error('there is no lease');
    return taken;
  };
  if (options.unstarted !== true) {
    await log.start(5000);
    position();
  }
  return {
    id,
    log,
    links,
    events,
    warnings,
    limits,
    position,
    purge: async (...scopes) => granted(await log.append({ scopes, soft: false })),
    told: (kind) => events.filter((event) => isOf(event, kind)),
  };
}

function isOf<K extends FleetEvent['kind']>(
  event: FleetEvent,
  kind: K,
): event is Extract<FleetEvent, { readonly kind: K }> {
  return event.kind === kind;
}

/** The receipt; fails for a refusal. */
export function granted(result: Result<PurgeReceipt>): PurgeReceipt {
  if (!result.ok) throw new Error(`${result.error.code}: ${result.error.detail}`);
  return result.value;
}

/** The problem; fails for a receipt. */
export function refusal(result: Result<PurgeReceipt>): Problem {
  if (result.ok) throw new Error('it was granted');
  return result.error;
}

/** Waits until the epoch is so old that no purge waits for its sake: a purge then takes milliseconds. */
export async function settled(...members: readonly LogMember[]): Promise<void> {
  for (const member of members) {
    await expect
      .poll(
        async () => {
          const startedMs = performance.now();
          await member.purge('k:settling');
          return performance.now() - startedMs;
        },
        { timeout: 5000, interval: 1 },
      )
      .toBeLessThan(150);
  }
}

/** An item at that position, with that URL and these tags. */
export function itemAt(position: Position, { url = '/v1/forecast', tags = ['berlin'] } = {}) {
  return { key: `weather|${url}`, route: 'weather', url, tags, position };
}
