import { expect, test } from 'vitest';

import type { PurgeReceipt } from '../../src/cache/ports.ts';
import type { Result } from '../../src/core/problem.ts';
import type { Position } from '../../src/core/stored-response.ts';
import type { PurgeableItem } from '../../src/store/purge-table.ts';
import type { PurgeEvent, TrackedPurgeLog } from '../../src/store/purge-follower.ts';

/** A log that nothing was purged in yet, with its lease; where `searching`, of a process that keys by rules for queries. */
export type MakeLog = (searching: boolean) => Promise<TrackedPurgeLog>;

interface Subject {
  readonly log: TrackedPurgeLog;
  readonly position: () => Position;
  readonly purge: (...scopes: readonly string[]) => Promise<PurgeReceipt>;
  readonly soften: (...scopes: readonly string[]) => Promise<PurgeReceipt>;
}

const url = '/v1/forecast?days=3&location=berlin';

/** Stored at that position. */
function item(position: Position) {
  return { key: `weather|${url}`, route: 'weather', url, tags: ['location:berlin', 'upstream:met'], position };
}

/** What every purge log promises, whoever shares it. */
export function purgeLogContract(make: MakeLog): void {
  const setUp = async (searching = false): Promise<Subject> => {
    const log = await make(searching);
    const position = (): Position => {
      const taken = log.position();
      if (taken === undefined) throw new Error('there is no lease');
      return taken;
    };
    return {
      log,
      position,
      purge: async (...scopes) => granted(await log.append({ scopes, soft: false })),
      soften: async (...scopes) => granted(await log.append({ scopes, soft: true })),
    };
  };

  test.each([
    'all',
    'r:weather',
    `k:weather|${url}`,
    `u:${url}`,
    't:location:berlin',
    't:upstream:met',
    'p:/v1/forecast',
    `p:${url}`,
  ])('a purge of %s covers what was stored before it, and not what is stored after it', async (scope) => {
    const { log, position, purge } = await setUp();
    const before = item(position());
    expect(log.isValid(before)).toBe(true);
    await purge('t:another', scope);
    expect([log.isValid(before), log.isPurged(before)]).toEqual([false, true]);
    const after = item(position());
    expect([log.isValid(after), log.isPurged(after)]).toEqual([true, false]);
  });

  test.each([
    'r:weathe',
    'r:weather2',
    `k:${url}`,
    'u:/v1/forecast',
    't:location',
    't:location:berlin2',
    'p:/v1/forecasts',
    `p:${url}&x=1`,
  ])('a purge of %s does not', async (scope) => {
    const { log, position, purge } = await setUp();
    const before = item(position());
    await purge(scope);
    expect([log.isValid(before), log.isPurged(before)]).toEqual([true, false]);
  });

  test.each([`u:${url}&utm=1`, `p:${url}&utm=1`, `k:weather|${url}&utm=1`])(
    'a purge of %s is also one of what rules for queries key on the path, where there are any',
    async (scope) => {
      const tags = ['search:/v1/forecast', 'search:weather|/v1/forecast'];
      for (const searching of [true, false]) {
        const { log, position, purge, soften } = await setUp(searching);
        const heard: PurgeEvent[] = [];
        log.follow((event) => heard.push(event));
        const ofRule = (): PurgeableItem => ({ ...item(position()), tags });
        const before = ofRule();
        await soften(scope);
        expect(log.softPurgedAtMs(before) !== undefined).toBe(searching);
        await purge(scope);
        expect(log.isValid(before)).toBe(!searching);
        expect([log.isValid(ofRule()), log.isValid({ ...item(before.position) })]).toEqual([true, true]);
        const scopes = log.inEffect([scope]);
        expect(scopes).toHaveLength(searching ? 2 : 1);
        // Who shares a log may hear of his own purges twice: at once, and in their place.
        expect(new Set(heard.map((event) => event.kind === 'purge' && event.purge.scopes.join(' ')))).toEqual(
          new Set([scopes.join(' ')]),
        );
      }
    },
  );

  test('a position never changes, and is the same object until something is purged', async () => {
    const { position, purge } = await setUp();
    const before = position();
    const { epoch, seq } = before;
    expect(position()).toBe(before);
    await purge('t:x');
    expect(before).toEqual({ epoch, seq });
    expect(position()).toEqual({ epoch, seq: seq + 1 });
  });

  test('nothing from another epoch is valid', async () => {
    const { log, position } = await setUp();
    const foreign = item({ epoch: 'another', seq: position().seq });
    expect([log.isValid(foreign), log.isPurged(foreign)]).toEqual([false, true]);
  });

  test('a soft purge leaves what it covers valid, and says since when it is stale', async () => {
    const { log, position, soften } = await setUp();
    const before = item(position());
    expect(log.softPurgedAtMs(before)).toBeUndefined();
    await soften('r:weather');
    expect(log.isValid(before)).toBe(true);
    expect(log.softPurgedAtMs(before)).toBeTypeOf('number');
    expect(log.softPurgedAtMs(item(position()))).toBeUndefined();
  });

  test('a receipt names the purge, and who has applied it', async () => {
    const { purge } = await setUp();
    const [first, second] = [await purge('t:x'), await purge('t:x')];
    expect(first).toMatchObject({ complete: true, missing: [] });
    expect(first.sidecars.length).toBeGreaterThan(0);
    expect(first.sidecars.every(({ appliedMs }) => appliedMs >= 0)).toBe(true);
    expect(second.id).not.toBe(first.id);
  });

  test('a purge of what is no scope is rejected, and changes nothing', async () => {
    const { log, position } = await setUp();
    const before = position();
    await expect(log.append({ scopes: ['location:berlin'], soft: false })).rejects.toThrow(RangeError);
    expect(position()).toEqual(before);
  });

  test('who follows hears of each purge in order, before it returns, until he closes', async () => {
    const { log, purge } = await setUp();
    const heard: PurgeEvent[] = [];
    const follower = log.follow((event) => heard.push(event));
    const versionBefore = log.version;
    await purge('t:one', 'r:two');
    const { version } = log;
    expect(version).toBeGreaterThan(versionBefore);
    const [event] = heard.filter((each) => each.kind === 'purge');
    expect(event?.purge).toMatchObject({ scopes: ['t:one', 'r:two'], soft: false });
    await purge('t:three');
    expect(heard.at(-1)).toMatchObject({ kind: 'purge', purge: { scopes: ['t:three'] }, version: log.version });
    follower.settled(log.version);
    follower.close();
    const count = heard.length;
    await purge('t:four');
    expect(heard).toHaveLength(count);
  });

  test('equal versions mean that nothing has become invalid', async () => {
    const { log, position, purge } = await setUp();
    const before = item(position());
    const { version } = log;
    expect(log.isValid(before)).toBe(true);
    expect(log.version).toBe(version);
    await purge('t:location:berlin');
    expect(log.version).not.toBe(version);
  });
}

function granted(result: Result<PurgeReceipt>): PurgeReceipt {
  if (!result.ok) throw new Error(result.error.detail);
  return result.value;
}
