import { describe, expect, it } from 'vitest';

import { configFile, launchServe, runProgram } from '../support/launch.ts';
import { ask } from '../support/http.ts';
import { type Origin, startOrigin } from '../support/origin.ts';
import { startRedis, type RedisProcess } from '../support/redis.ts';

const canary = /CANARY|Q0FOQVJZ/i;

const yaml = (origin: Origin, redis: RedisProcess, password = '${REDIS_PASSWORD}'): string => `
server: { listen: 127.0.0.1:0 }
admin: { listen: 127.0.0.1:0 }
log: { level: debug, requests: true }
store: { redis: { url: "redis://127.0.0.1:${redis.port}/3", password: "${password}" } }
upstreams:
  api:
    origin: "${origin.url}"
    timeout: 5s
    credentials: { query: { apikey: "CANARYquery" }, headers: { authorization: "Bearer CANARYheader" } }
routes:
  - { name: ruled, match: /ruled, upstream: api, ttl: 1h, query: { q: { type: text }, token: { type: text, secret: true } }, tags: ["q:{q}"] }
  - { name: honoured, match: /honoured/*, upstream: api, upstreamCacheControl: honour, ttl: 1m }
`;

/** Everything in the database, names and values. */
async function dumpOf(redis: RedisProcess): Promise<string> {
  const keys = (await redis.cli('-n', '3', '--scan')).split('\n').filter((key) => key !== '');
  const values = await Promise.all(
    keys.map(async (key) => {
      const type = (await redis.cli('-n', '3', 'type', key)).trim();
      const read: Record<string, readonly string[]> = {
        string: ['get', key],
        hash: ['hgetall', key],
        stream: ['xrange', key, '-', '+'],
      };
      return redis.cli('-n', '3', ...(read[type] ?? ['type', key]));
    }),
  );
  return [...keys, ...values].join('\n');
}

describe('secrets', () => {
  it('reach no key or value in Redis, no log, metric, report, explanation or answer', async () => {
    await using redis = await startRedis({ password: 'CANARYredis' });
    // As APIs do, it says again all that it was asked.
    await using origin = await startOrigin(async (request, peer) => {
      const said = JSON.stringify({ target: request.target, lines: request.lines });
      await peer.respond(
        200,
        { 'Content-Type': 'application/json', Vary: 'Accept-Language', 'X-Echo': request.target },
        said,
      );
    });
    const program = await launchServe(yaml(origin, redis), { env: { REDIS_PASSWORD: 'CANARYredis' } });
    const told: string[] = [];
    const hear = async (base: string, target: string, options = {}): Promise<void> => {
      const reply = await ask(base, target, options);
      told.push(reply.text, JSON.stringify(reply.headers));
    };
    for (const target of ['/ruled?q=berlin&token=private', '/ruled?q=berlin', '/honoured/a?apikey=CANARYown']) {
      await hear(program.proxy, target);
      await hear(program.proxy, target);
      const body = JSON.stringify({ url: target });
      await hear(program.admin, '/api/explain', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body,
      });
    }
    await expect.poll(async () => dumpOf(redis)).toContain(':e:{');
    const post = { method: 'POST', headers: { 'content-type': 'application/json' } };
    await hear(program.admin, '/api/purge', { ...post, body: '{"tag":"q:berlin"}' });
    await redis.kill();
    await hear(program.proxy, '/ruled?q=paris');
    await hear(program.admin, '/api/purge', { ...post, body: '{"all":true}' });
    await redis.restart();
    let asked = 0;
    const stored = async (): Promise<string> => {
      asked += 1;
      await hear(program.proxy, `/ruled?q=rome${asked}`);
      return dumpOf(redis);
    };
    await expect.poll(stored).toContain(':e:{');
    for (const target of ['/metrics', '/api/metrics/cache', '/api/stored', '/', '/openapi.json'])
      await hear(program.admin, target);
    expect(await dumpOf(redis)).not.toMatch(canary);
    expect(told.join('\n')).not.toMatch(canary);
    expect(program.stdout() + program.stderr()).not.toMatch(canary);
  });

  it('are not shown when Redis refuses them, or the file is refused for them', async () => {
    await using redis = await startRedis({ password: 'CANARYredis' });
    await using origin = await startOrigin(async (_request, peer) => peer.respond(200, {}, 'x'));
    const program = await launchServe(yaml(origin, redis, 'CANARYwrong'));
    expect((await ask(program.proxy, '/ruled?q=berlin')).cacheStatus).toBe('forecache; fwd=bypass; detail=lease');
    await expect.poll(() => program.stdout() + program.stderr()).toMatch(/refuses the user, its password/);
    expect(program.stdout() + program.stderr()).not.toMatch(canary);
    const broken = yaml(origin, redis).replace(/url: "[^"]*"/, 'url: "redis://user:CANARYurl@:99999/x"');
    const checked = await runProgram(['check', '--config', configFile(broken)], { REDIS_PASSWORD: 'CANARYredis' });
    expect(checked.code).toBe(64);
    expect(checked.stdout + checked.stderr).toContain('store.redis.url');
    expect(checked.stdout + checked.stderr).not.toMatch(canary);
  });
});
