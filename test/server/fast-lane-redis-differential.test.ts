import { once } from 'node:events';
import { createServer } from 'node:http';
import { expect, it } from 'vitest';

import { ParsedRequests } from '../support/fast-lane.ts';
import { head } from '../support/hostile.ts';
import { samples } from '../support/metrics.ts';
import { startTestProxy, type TestProxy } from '../support/proxy.ts';
import { openRaw, type RawConnection } from '../support/raw.ts';
import { startRedis } from '../support/redis.ts';
import { Dice } from '../support/spellings.ts';

/*
 * As `fast-lane-differential.test.ts`, of answers that come from Redis: the tier is so small that most of them do. Each proxy has its own
 * part of one Redis, and is asked for the same.
 */
const EXCHANGES = 12_000;
const CONNECTIONS = 16;

/** Says what counts of a request, and changes what it says when it is told to. */
async function startOrigin() {
  let version = 0;
  const server = createServer((request, response) => {
    const { url = '', method, headers } = request;
    const etag = `"v${version}"`;
    const words = [method, url, etag, headers['accept-language'], headers['x-tenant']].join(' ');
    const body = words + 'weather '.repeat(url.startsWith('/large') ? 12_000 : 150 + (url.length % 7) * 40);
    const fields: Record<string, string> = {
      'Content-Type': 'text/plain',
      ETag: etag,
      'Content-Length': `${body.length}`,
    };
    if (/^\/[hn]/.test(url)) fields['Cache-Control'] = 'max-age=600';
    if (url.startsWith('/hv')) fields['Vary'] = 'Accept-Language';
    if (url.startsWith('/n')) fields['No-Vary-Search'] = 'params=("utm")';
    if (url.includes('odd')) fields['X-Odd'] = 'a\tb\u00fc';
    response.writeHead(headers['if-none-match'] === etag ? 304 : 200, fields);
    response.end(headers['if-none-match'] === etag ? undefined : body);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('not listening');
  return {
    url: `http://127.0.0.1:${address.port}`,
    change: () => (version += 1),
    [Symbol.dispose]: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

const yamlOf = (origin: string, redis: string, fastLane: boolean): string => `
server: { listen: 127.0.0.1:0, fastLane: ${fastLane} }
admin: { listen: 127.0.0.1:0 }
log: { level: silent }
store: { memory: { maxBytes: 512KiB }, redis: { url: "${redis}", keyPrefix: lane-${fastLane}, timeout: 5s } }
upstreams:
  api: { origin: "${origin}", timeout: 30s }
routes:
  - { name: ruled, match: /c/*, upstream: api, ttl: 10m, tags: ["all:c"] }
  - { name: other-host, match: /c/*, host: b.test, upstream: api, ttl: 10m }
  - { name: keyed, match: /k/*, upstream: api, ttl: 10m, headers: [x-tenant] }
  - { name: spelt, match: "/s:n", upstream: api, ttl: 10m, unknownQuery: drop, query: { q: { type: integer }, d: { type: text, default: seven } }, tags: ["q:{q}"] }
  - { name: honoured, match: /h/*, upstream: api, upstreamCacheControl: honour }
  - { name: varied, match: /hv/*, upstream: api, upstreamCacheControl: honour, forwardHeaders: [accept-language] }
  - { name: taught, match: /n/*, upstream: api, upstreamCacheControl: honour }
  - { name: large, match: /large/*, upstream: api, ttl: 10m }
  - { name: cut, match: /cut/*, upstream: api, ttl: 10m, maxKeyBytes: 128 }
  - { name: secret, match: /secret/*, upstream: api, ttl: 10m, showKey: true, secret: [key] }
  - { name: relayed, match: /r/*, upstream: api, cache: off }
`;

const hostA = 'Host: a.test';
const tails: readonly (readonly string[])[] = [
  [hostA],
  ['Host: b.test'],
  [hostA, 'Accept-Language: de'],
  [hostA, 'Accept-Language: en'],
  [hostA, 'X-Tenant: 1'],
  [hostA, 'X-Tenant: 2'],
  [hostA, 'If-None-Match: "v0"'],
  [hostA, 'Range: bytes=2-9'],
  [hostA, 'Cache-Control: only-if-cached'],
  [hostA, 'Cache-Control: no-cache'],
  [hostA, 'Authorization: Bearer x'],
  [hostA, 'Cookie: a=b'],
  [hostA, 'Accept-Encoding: gzip'],
];

/** One response each, as the proxies key them, with the ways in which it may be asked for: no two of one are under way at once. */
const responses: readonly (readonly string[])[] = Array.from({ length: 30 }, (_none, n) => [
  [`/c/${n}`],
  [`/c/~${n}`, `/c/%7e${n}`, `/c/%7E${n}`],
  [`/c/query-${n}?b=2&a=1`, `/c/query-${n}?a=1&b=2`],
  [`/k/${n}`],
  [`/s${n}?q=${n}`, `/s${n}?q=0${n}`, `/s${n}?z=9&q=${n}`, `/s${n}?q=${n}&d=seven`],
  [`/h/${n}`],
  [`/hv/${n}`],
  [`/secret/${n}?key=s`],
  [`/cut/${'y'.repeat(150)}${n}`],
  [`/c/${'z'.repeat(506 + (n % 5))}${n}`],
  [`/c/odd-${n}`],
  ...(n < 6 ? [[`/large/${n}`], [`/r/${n}`], [`/none/${n}`], [`/s${n}?q=bad`]] : []),
  // What upstream teaches of one counts for all of its path.
  ...(n === 0 ? [Array.from({ length: 20 }, (_none2, utm) => `/n/x?a=${utm % 3}&utm=${utm}`)] : []),
]).flat();

const purges: readonly ((dice: Dice) => object)[] = [
  () => ({ tag: 'all:c' }),
  (dice) => ({ tag: `q:${dice.roll(30)}` }),
  () => ({ route: 'honoured' }),
  () => ({ route: 'varied' }),
  (dice) => ({ url: `/c/${dice.roll(30)}` }),
  () => ({ prefix: '/c/1' }),
  (dice) => ({ url: `/n/x?a=${dice.roll(3)}&utm=${dice.roll(20)}` }),
  () => ({ all: true }),
];

/** Without what differs by when and from which tier each was answered. */
function masked(text: string): string {
  return (
    text
      .replaceAll(/\r\ndate: [^\r]*/gi, '\r\ndate: -')
      // Without one at all in the second of its Date.
      .replaceAll(/\r\nage: [^\r]*/gi, '')
      .replaceAll(/(ttl|max-age)=-?\d+/g, '$1=-')
      .replaceAll(/detail=(memory|redis)/g, 'detail=tier')
  );
}

async function counted(proxy: TestProxy): Promise<readonly string[]> {
  return [...(await samples(proxy.admin))]
    .filter(([name]) => /^forecache_(requests|sent_bytes|limit|problems|upstream_calls)/.test(name))
    .filter(([name]) => !/seconds|tier=/.test(name))
    .map(([name, value]) => `${name} ${value}`)
    .toSorted();
}

it(`${EXCHANGES} generated exchanges are answered and counted alike with and without the fast lane, a third of them from Redis`, async () => {
  await using stack = new AsyncDisposableStack();
  const redis = stack.use(await startRedis());
  const dice = new Dice(20_261_126);
  const origin = stack.use(await startOrigin());
  const start = async (fastLane: boolean): Promise<TestProxy> =>
    stack.use(await startTestProxy({ yaml: yamlOf(origin.url, redis.url, fastLane) }));
  const proxies = [await start(true), await start(false)];
  const parsed = proxies.map((proxy) => stack.use(new ParsedRequests(proxy.origin)));
  for (const { admin } of proxies) {
    await expect.poll(async () => (await samples(admin)).get('forecache_lease_held'), { timeout: 10_000 }).toBe(1);
  }
  const pairs: (readonly RawConnection[])[] = [];
  for (let pair = 0; pair < CONNECTIONS; pair += 1) {
    pairs.push(await Promise.all(proxies.map(async (proxy) => stack.use(await openRaw(proxy.origin)))));
  }

  const exchange = async (pair: readonly RawConnection[], target: string): Promise<void> => {
    const method = dice.chance(20) ? 'HEAD' : 'GET';
    const tail = dice.chance(3) ? (tails[dice.roll(tails.length)] ?? []) : [hostA];
    const sent = head(`${method} ${target} HTTP/1.1`, ...tail);
    const replies = pair.map(async (connection) => {
      await connection.send(sent);
      const reply = await connection.reply(method);
      return masked(reply.head + reply.body.toString('latin1'));
    });
    const [one, other] = await Promise.all(replies);
    if (one !== other) throw new Error(`not alike: ${JSON.stringify([sent, one, other])}`);
  };

  let exchanges = 0;
  for (let round = 0; exchanges < EXCHANGES; round += 1) {
    const first = dice.roll(responses.length);
    const asked = pairs.slice(0, 1 + dice.roll(CONNECTIONS));
    const targets = asked.map((_pair, index) => {
      const ways = responses[(first + index * 7) % responses.length] ?? [];
      return ways[dice.roll(ways.length)] ?? '/';
    });
    await Promise.all(asked.map((pair, index) => exchange(pair, targets[index] ?? '/')));
    exchanges += asked.length;
    if (round % 60 !== 59) continue;
    origin.change();
    const purge = purges[dice.roll(purges.length)]?.(dice);
    const done = await Promise.all(proxies.map((proxy) => proxy.call('POST', '/api/purge', purge)));
    expect(done.map(({ status }) => status)).toEqual([200, 200]);
  }

  const [laned, unlaned] = await Promise.all(proxies.map(counted));
  expect(laned).toEqual(unlaned);
  const [parsedWith = 0, parsedWithout = 0] = parsed.map(({ count }) => count);
  expect(parsedWithout - parsedWith).toBeGreaterThan(EXCHANGES / 2);
  const read = await samples(proxies[0]?.admin ?? '');
  expect(read.get('forecache_redis_operations_total{operation="get",result="hit"}')).toBeGreaterThan(EXCHANGES / 3);
}, 120_000);
