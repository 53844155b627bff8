import { describe, expect, test } from 'vitest';
import type { Position } from '../../src/core/stored-response.ts';
import { createLocalPurgeLog } from '../../src/store/local-purge-log.ts';
import type { PurgeEvent } from '../../src/store/purge-follower.ts';
import { maxPrefixLengths } from '../../src/store/purge-table.ts';
import { FakeClock } from '../support/clock.ts';

const maxAgeMs = 16_000;

function setUp(maxScopes = 10) {
  const clock = new FakeClock();
  const log = createLocalPurgeLog({ clock, instanceId: 'one', maxScopes, positionMaxAgeMs: maxAgeMs });
  const hard = async (...scopes: readonly string[]) => log.append({ scopes, soft: false });
  const soft = async (...scopes: readonly string[]) => log.append({ scopes, soft: true });
  return { clock, log, hard, soft, item };
}

function item(position: Position, url = '/kept') {
  return { key: `r|${url}`, route: 'r', url, tags: ['kept'], position };
}

describe('positions', () => {
  test('one taken before a purge stays as it was, one taken after it is later', async () => {
    const { log, hard } = setUp();
    const before = log.position();
    await hard('t:a');
    expect(before).toEqual({ epoch: 'one', seq: 0 });
    expect(log.position()).toEqual({ epoch: 'one', seq: 1 });
    expect(log.version).toBe(1);
  });

  test('taking one allocates nothing: it is the same object until the next purge', () => {
    const { log } = setUp();
    expect(log.position()).toBe(log.position());
  });

  test('another process has another epoch, so that nothing of it is valid here', () => {
    const clock = new FakeClock();
    const other = createLocalPurgeLog({ clock, instanceId: 'two' });
    const { log } = setUp();
    expect(log.isValid(item(other.position()))).toBe(false);
    expect(log.isPurged(item(other.position()))).toBe(true);
  });
});

describe('receipts', () => {
  test('name the purge and the one process that applied it', async () => {
    const { hard } = setUp();
    expect(await hard('all')).toEqual({
      ok: true,
      value: {
        id: 'one-1',
        complete: true,
        sidecars: [{ id: 'one', appliedMs: 0 }],
        missing: [],
      },
    });
  });

  test('a purge is in force before its receipt is awaited', () => {
    const { log, hard } = setUp();
    const early = item(log.position());
    const receipt = hard('t:kept');
    expect(log.isValid(early)).toBe(false);
    return receipt;
  });
});

test('what is no scope is refused, as it would cover nothing and look like a success', async () => {
  const { hard } = setUp();
  await expect(hard('location:lima')).rejects.toThrow(RangeError);
  await expect(hard('a:')).rejects.toThrow(RangeError);
});

describe('the table stays bounded', () => {
  test('a scope that is purged again and again takes one row', async () => {
    const { log, hard } = setUp();
    for (let time = 0; time < 1000; time += 1) await hard('t:a', 'r:b');
    expect(log.scopes).toBe(2);
  });

  test('up to half full nothing is forgotten, however old it is', async () => {
    const { log, hard, clock } = setUp();
    const early = item(log.position());
    for (const tag of ['a', 'b', 'c', 'd']) await hard(`t:${tag}`);
    clock.advance(10 * maxAgeMs);
    await hard('t:e');
    expect(log.scopes).toBe(5);
    expect(log.isValid(early)).toBe(true);
    expect(log.isValid({ ...early, tags: ['a'] })).toBe(false);
  });

  test('past half, purges older than any fetch are forgotten and positions before them refused', async () => {
    const { log, hard, clock } = setUp();
    const early = item(log.position());
    for (const tag of ['a', 'b', 'c', 'd', 'e']) await hard(`t:${tag}`);
    const later = item(log.position());
    clock.advance(maxAgeMs);
    await hard('t:f');
    expect(log.scopes).toBe(1);
    expect(log.isValid(early)).toBe(false);
    expect(log.isValid(later)).toBe(true);
    expect(log.isValid({ ...later, tags: ['f'] })).toBe(false);
  });

  test('a millisecond before that age nothing is forgotten', async () => {
    const { log, hard, clock } = setUp();
    const early = item(log.position());
    for (const tag of ['a', 'b', 'c', 'd', 'e']) await hard(`t:${tag}`);
    clock.advance(maxAgeMs - 1);
    await hard('t:f');
    expect(log.scopes).toBe(6);
    expect(log.isValid(early)).toBe(true);
  });

  test('nor is what a holder of items has not settled', async () => {
    const { log, hard, clock } = setUp();
    const follower = log.follow(() => undefined);
    for (const tag of ['a', 'b', 'c', 'd', 'e']) await hard(`t:${tag}`);
    clock.advance(maxAgeMs);
    await hard('t:f');
    expect(log.scopes).toBe(6);
    follower.settled(3);
    await hard('t:g');
    expect(log.scopes).toBe(4);
    follower.close();
    await hard('t:h', 't:i');
    expect(log.scopes).toBe(4);
  });

  test('exactly full is allowed; one row more drops the older half as a last resort', async () => {
    const { log, hard } = setUp();
    const events: PurgeEvent[] = [];
    log.follow((event) => events.push(event));
    const positions: Position[] = [];
    for (let tag = 0; tag < 10; tag += 1) {
      positions.push(log.position());
      await hard(`t:${tag}`);
    }
    expect(log.scopes).toBe(10);
    expect(log.isValid(item(positions[0] ?? log.position()))).toBe(true);
    expect(events.filter((event) => event.kind === 'floor')).toEqual([]);
    await hard('t:10');
    expect(log.scopes).toBe(5);
    expect(events.at(-1)).toEqual({ kind: 'floor', version: 6 });
    expect(positions.map((position) => log.isValid(item(position)))).toEqual([
      ...Array.from({ length: 6 }, () => false),
      ...Array.from({ length: 4 }, () => true),
    ]);
    expect(log.isValid({ ...item(positions[9] ?? log.position()), tags: ['9'] })).toBe(false);
  });

  test('holders that have settled all lose nothing when the older half is dropped', async () => {
    const { log, hard } = setUp();
    const events: PurgeEvent[] = [];
    const follower = log.follow((event) => {
      events.push(event);
    });
    for (let tag = 0; tag < 10; tag += 1) await hard(`t:${tag}`);
    follower.settled(10);
    await hard('t:10');
    expect(log.scopes).toBe(5);
    expect(events.filter((event) => event.kind === 'floor')).toEqual([]);
  });

  test('one purge of more scopes than the table holds refuses all that began before it', async () => {
    const { log, hard } = setUp();
    const early = item(log.position());
    await hard(...Array.from({ length: 50 }, (_, tag) => `t:${tag}`));
    expect(log.scopes).toBe(0);
    expect(log.isValid(early)).toBe(false);
    expect(log.isValid(item(log.position()))).toBe(true);
  });

  test('soft rows count too and are forgotten alike', async () => {
    const { log, soft, clock } = setUp();
    for (const tag of ['a', 'b', 'c', 'd', 'e']) await soft(`t:${tag}`);
    clock.advance(maxAgeMs);
    await soft('t:f');
    expect(log.scopes).toBe(1);
  });
});

describe('prefixes', () => {
  test('up to the bound of lengths each covers exactly its URLs', async () => {
    const { log, hard } = setUp(1000);
    const position = log.position();
    for (let length = 1; length <= maxPrefixLengths; length += 1) await hard(`p:${'x'.repeat(length)}`);
    expect(log.isPurged(item(position, 'x'))).toBe(true);
    expect(log.isPurged(item(position, 'y'.repeat(80)))).toBe(false);
  });

  test('a length past the bound is widened to the next shorter that is known', async () => {
    const { log, hard } = setUp(1000);
    for (let length = 1; length <= maxPrefixLengths; length += 1) await hard(`p:${'x'.repeat(length)}`);
    const position = log.position();
    const asked = 'y'.repeat(maxPrefixLengths + 6);
    await hard(`p:${asked}`);
    expect(log.isPurged(item(position, `${asked}/more`))).toBe(true);
    expect(log.isPurged(item(position, 'y'.repeat(maxPrefixLengths)))).toBe(true);
    expect(log.isPurged(item(position, 'y'.repeat(maxPrefixLengths - 1)))).toBe(false);
    expect(log.isPurged(item(position, 'z'))).toBe(false);
  });

  test('where none is shorter it is widened to everything', async () => {
    const { log, hard } = setUp(1000);
    for (let length = 2; length <= maxPrefixLengths + 1; length += 1) await hard(`p:${'x'.repeat(length)}`);
    const position = log.position();
    await hard('p:y');
    expect(log.isPurged(item(position, 'z'))).toBe(true);
  });

  test('a known length takes any number of prefixes', async () => {
    const { log, hard } = setUp(1000);
    for (let length = 1; length <= maxPrefixLengths; length += 1) await hard(`p:${'x'.repeat(length)}`);
    const position = log.position();
    await hard('p:yy');
    expect(log.isPurged(item(position, 'yyy'))).toBe(true);
    expect(log.isPurged(item(position, 'yz'))).toBe(false);
  });

  test('a length is free again when its prefixes are forgotten', async () => {
    const { log, hard, clock } = setUp(100);
    for (let length = 1; length <= maxPrefixLengths; length += 1) await hard(`p:${'x'.repeat(length)}`);
    clock.advance(maxAgeMs);
    await hard('t:a');
    expect(log.scopes).toBe(1);
    const position = log.position();
    await hard(`p:${'y'.repeat(maxPrefixLengths + 6)}`);
    expect(log.isPurged(item(position, 'y'.repeat(maxPrefixLengths)))).toBe(false);
    expect(log.isPurged(item(position, 'y'.repeat(maxPrefixLengths + 7)))).toBe(true);
  });

  test('forgetting one of two prefixes of a length leaves the other in force', async () => {
    const { log, hard, clock } = setUp(2);
    await hard('p:aa');
    clock.advance(maxAgeMs);
    const position = log.position();
    await hard('p:bb');
    await hard('t:c');
    expect(log.scopes).toBe(2);
    expect(log.isPurged(item(position, 'bbb'))).toBe(true);
    expect(log.isPurged(item(position, 'aaa'))).toBe(false);
  });
});

describe('soft purges', () => {
  test('of several that cover an item the earliest counts', async () => {
    const { log, soft, clock } = setUp();
    const early = item(log.position());
    const firstMs = clock.nowMs();
    await soft('t:kept');
    clock.advance(1000);
    await soft('r:r');
    expect(log.softPurgedAtMs(early)).toBe(firstMs);
    expect(log.isValid(early)).toBe(true);
    expect(log.softPurgedAtMs(item(log.position()))).toBeUndefined();
  });

  test('one before the item was fetched does not count', async () => {
    const { log, soft, clock } = setUp();
    await soft('t:kept');
    const between = item(log.position());
    clock.advance(1000);
    await soft('r:r');
    expect(log.softPurgedAtMs(between)).toBe(clock.nowMs());
  });
});
