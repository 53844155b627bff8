import { describe, expect, it } from 'vitest';

import { buildFirst } from '../support/build-first.ts';
import { startFleet, type Sidecar } from '../support/fleet.ts';
import { startOrigin, type Origin } from '../support/origin.ts';
import { startRedis } from '../support/redis.ts';

buildFirst();

const routes = `
  - { name: honoured, match: /h/*, upstream: api, upstreamCacheControl: honour }
  - { name: ruled, match: /r/*, upstream: api, ttl: 1h, tagsFrom: surrogate-key }
`;

/** No two answers are alike; those of a path have its fields. */
async function originOf(fieldsOf: (path: string) => Readonly<Record<string, string>>): Promise<Origin> {
  let version = 0;
  return startOrigin((request, peer) => {
    version += 1;
    const [path = ''] = request.target.split('?');
    return peer.respond(200, { 'Cache-Control': 'max-age=3600', ...fieldsOf(path) }, `version ${version}`);
  });
}

/** Two processes of a fleet on a Redis of their own. */
async function two(origin: Origin, redis: string): Promise<readonly [Sidecar, Sidecar]> {
  const [one, other] = await startFleet({ count: 2, redis: `{ url: "${redis}" }`, origin: origin.url, routes });
  if (one === undefined || other === undefined) throw new Error('no fleet of two');
  return [one, other];
}

/** Asks until it is in memory there. */
async function remembered(sidecar: Sidecar, ...targets: readonly string[]): Promise<void> {
  for (const target of targets) {
    await expect.poll(async () => (await sidecar.get(target)).cacheStatus).toMatch(/hit; ttl=\d+; detail=memory/);
  }
}

async function isHit(sidecar: Sidecar, target: string): Promise<boolean> {
  return (await sidecar.get(target)).cacheStatus.includes('; hit');
}

function inLanguage(sidecar: Sidecar, language: string, fields = {}): ReturnType<Sidecar['get']> {
  return sidecar.get('/h/a', { headers: { 'accept-language': language, ...fields } });
}

describe('what upstream says of its answers, in a fleet', () => {
  it('is a tag by which any process purges what another has fetched, and lists it', async () => {
    await using redis = await startRedis();
    await using origin = await originOf((path) =>
      path.startsWith('/h/')
        ? { 'Cache-Groups': `"all", "${path.slice(3)}"` }
        : { 'Surrogate-Key': `all ${path.slice(3)}` },
    );
    const [one, other] = await two(origin, redis.url);
    await remembered(one, '/h/a', '/h/b', '/r/a');
    await remembered(other, '/h/a', '/h/b', '/r/a');
    const tag = `group:${origin.url}:a`;
    const listed = (await other.call(`/api/stored?tag=${encodeURIComponent(tag)}`)).body['stored'];
    expect(listed).toMatchObject([{ url: '/h/a' }]);
    expect((await other.call('/api/purge', { tag })).body).toMatchObject({ complete: true, matched: 1 });
    expect(await isHit(one, '/h/a')).toBe(false);
    expect(await isHit(one, '/h/b')).toBe(true);
    expect((await one.call('/api/purge', { tag: 'all' })).body).toMatchObject({ complete: true, matched: 1 });
    expect(await isHit(other, '/r/a')).toBe(false);
    expect((await other.get('/r/a')).headers).not.toHaveProperty('surrogate-key');
  });

  it('of queries is true of purges by a process that has not heard of it', async () => {
    await using redis = await startRedis();
    await using origin = await originOf(() => ({ 'No-Vary-Search': 'params=("utm")' }));
    const [one, other] = await two(origin, redis.url);
    await remembered(one, '/h/p?a=1&utm=1');
    const { text } = await one.get('/h/p?utm=2&a=1');
    expect(origin.requests).toHaveLength(1);
    for (const selector of [{ url: '/h/p?a=1&utm=7' }, { prefix: '/h/p?utm=8' }]) {
      expect((await other.call('/api/purge', selector)).body).toMatchObject({ complete: true });
      expect(await isHit(one, '/h/p?utm=3&a=1')).toBe(false);
      expect(await isHit(one, '/h/p?utm=4&a=1')).toBe(true);
    }
    expect((await one.get('/h/p?a=1')).text).not.toBe(text);
  });

  it('of queries is learnt from what another process has stored', async () => {
    await using redis = await startRedis();
    await using origin = await originOf(() => ({ 'No-Vary-Search': 'params=("utm")' }));
    const [one, other] = await two(origin, redis.url);
    await remembered(one, '/h/p?a=1&utm=1');
    await remembered(other, '/h/p?a=1&utm=1', '/h/p?utm=2&a=1');
    expect(origin.requests.map((request) => request.target)).toEqual(['/h/p?a=1&utm=1']);
  });

  it('of languages is not hidden by an answer without it that another process was waiting for', async () => {
    const gates = { de: Promise.withResolvers<void>(), en: Promise.withResolvers<void>() };
    await using redis = await startRedis();
    await using origin = await startOrigin(async (request, peer) => {
      const language = request.field('accept-language') === 'de' ? 'de' : 'en';
      await gates[language].promise;
      const vary = language === 'de' ? { Vary: 'Accept-Language' } : {};
      return peer.respond(200, { 'Cache-Control': 'max-age=3600', ...vary }, language);
    });
    const [one, other] = await two(origin, redis.url);
    const first = inLanguage(one, 'de', { 'cache-control': 'no-cache' });
    const second = inLanguage(other, 'en');
    await expect.poll(() => origin.requests).toHaveLength(2);
    gates.de.resolve();
    await first;
    await expect.poll(() => redis.cli('dbsize')).toBe('5');
    gates.en.resolve();
    await second;
    await expect.poll(async () => (await inLanguage(other, 'de')).text).toBe('de');
    expect(origin.requests).toHaveLength(2);
    expect((await inLanguage(other, 'en')).text).toBe('en');
    await inLanguage(other, 'fr');
    expect((await inLanguage(one, 'de')).text).toBe('de');
  });

  it('of languages is found by any process', async () => {
    await using redis = await startRedis();
    await using origin = await originOf(() => ({ Vary: 'Accept-Language', 'Content-Language': 'de' }));
    const [one, other] = await two(origin, redis.url);
    await one.get('/h/p', { headers: { 'accept-language': 'en, de' } });
    await expect
      .poll(async () => (await other.get('/h/p', { headers: { 'accept-language': 'DE, fr;q=0.2' } })).cacheStatus)
      .toMatch(/hit; ttl=\d+; detail=memory/);
    expect(origin.requests).toHaveLength(1);
  });
});
