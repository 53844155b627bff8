import { describe, expect, it } from 'vitest';

import type { RedisConfig } from '../../../src/core/config.ts';
import { redisKeys } from '../../../src/store/redis/keys.ts';
import { redisConfig } from '../../support/redis-config.ts';
import { connected, failureOf, openLinks, set, untilServed } from '../../support/redis-links.ts';
import { startSentinels, type Sentinels } from '../../support/redis-topologies.ts';

function configOf({ servers, sentinels, name }: Sentinels, sentinelPassword?: string): RedisConfig {
  return redisConfig(
    { port: 0, password: servers[0]?.password },
    {
      topology: {
        kind: 'sentinel',
        sentinels: sentinels.map(({ port }) => ({ host: '127.0.0.1', port })),
        name,
        sentinelUsername: undefined,
        sentinelPassword,
      },
    },
  );
}

describe('a master that Sentinels name', () => {
  it('is found, written to, and followed to another server when it is killed', async () => {
    await using servers = await startSentinels({ password: 'pw', sentinelPassword: 'spw' });
    const links = openLinks(configOf(servers, 'spw'));
    const heard: string[] = [];
    links.bell.onRing((message) => heard.push(message));
    await connected(links);
    const before = await servers.master();
    await links.data.run(set, ['k'], ['v']);
    expect(await before.cli('get', 'k')).toBe('v');

    await before.kill();
    expect((await failureOf(links.data.run(set, ['k'], ['w']))).kind).toBe('closed');
    await expect.poll(async () => (await servers.master()).port, { timeout: 10_000 }).not.toBe(before.port);
    const moved = performance.now();
    const after = await servers.master();
    await Promise.all([untilServed(links.data), untilServed(links.control)]);
    expect(await after.cli('get', 'served')).toBe('1');
    const bell = redisKeys('forecache').bell;
    await expect.poll(() => after.cli('publish', bell, 'x'), { timeout: 3000 }).toBe('1');
    await expect.poll(() => heard).toEqual(['x']);
    expect(performance.now() - moved).toBeLessThan(2000);
  });

  it('is left for the new one when it is frozen, although its connections are open', async () => {
    await using servers = await startSentinels();
    const links = openLinks(configOf(servers));
    await connected(links);
    const before = await servers.master();
    before.freeze();
    await expect.poll(async () => (await servers.master()).port, { timeout: 10_000 }).not.toBe(before.port);
    expect(await untilServed(links.control)).toBeLessThan(2000);
    // It wakes as a master, for a while; what is written then must be at the new one.
    before.thaw();
    await links.control.run(set, ['later'], ['v']);
    expect(await (await servers.master()).cli('get', 'later')).toBe('v');
  });

  it('is found again when no Sentinel answered for a while', async () => {
    await using servers = await startSentinels();
    for (const sentinel of servers.sentinels) await sentinel.kill();
    const links = openLinks(configOf(servers));
    await expect.poll(() => links.troubles.length).toBeGreaterThanOrEqual(3);
    expect(links.troubles.toSorted()).toEqual(
      ['bell', 'control', 'data'].map((name) => `${name}: no Sentinel answers`),
    );
    expect((await failureOf(links.data.get('k'))).kind).toBe('closed');
    for (const sentinel of servers.sentinels) await sentinel.restart();
    expect(await untilServed(links.data)).toBeLessThan(2000);
  });

  it('goes on being served while Sentinels are away', async () => {
    await using servers = await startSentinels();
    const links = openLinks(configOf(servers));
    await connected(links);
    for (const sentinel of servers.sentinels) await sentinel.kill();
    await links.data.run(set, ['k'], ['v']);
    await links.control.run(set, ['k'], ['w']);
    expect(await links.data.get('k')).toEqual(Buffer.from('w'));
  });

  it('is not named to one with a wrong password, which is not shown', async () => {
    await using servers = await startSentinels({ sentinelPassword: 'spw' });
    const links = openLinks(configOf(servers, 'hunter2'));
    await expect.poll(() => links.troubles.length).toBeGreaterThanOrEqual(3);
    expect(links.troubles.join('\n')).toContain('Redis refuses the user, its password, or one of its commands');
    expect(links.troubles.join('\n')).not.toContain('hunter2');
    expect(links.data.isReady).toBe(false);
  });

  it('is left within 200 ms while Sentinels are frozen', async () => {
    await using servers = await startSentinels();
    for (const sentinel of servers.sentinels) sentinel.freeze();
    const links = openLinks(configOf(servers));
    const start = performance.now();
    await links[Symbol.asyncDispose]();
    expect(performance.now() - start).toBeLessThan(200);
    for (const sentinel of servers.sentinels) sentinel.thaw();
  });
});
