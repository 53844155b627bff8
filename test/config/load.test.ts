import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { formatIssue } from '../../src/config/issue.ts';
import { configOf, contractFile, issuesOf, readConfig } from '../support/config-text.ts';

const folder = mkdtempSync(join(tmpdir(), 'forecache-config-'));
afterAll(() => rmSync(folder, { recursive: true }));

const small = `
upstreams: { api: { origin: "http://127.0.0.1:9" } }
routes:
  - { name: one, match: /one, upstream: api, ttl: 1h }
`;

function withRoute(options: string): string {
  return `upstreams: { api: { origin: "http://127.0.0.1:9" } }\nroutes:\n  - { name: one, match: /one, upstream: api, ${options} }\n`;
}

describe('the configuration of the contract', () => {
  test('loads as it stands', () => {
    const config = configOf(contractFile);
    expect(config.file).toBe('/etc/f.yaml');
    expect(config.server.listeners).toEqual([{ name: 'default', host: '127.0.0.1', port: 8080 }]);
    expect(config.admin).toEqual({ host: '127.0.0.1', port: 9090, token: undefined, maxBodyBytes: 65_536 });
    expect(config.store.memory.maxBytes).toBe(268_435_456);
    expect(config.routes.map((route) => route.name)).toEqual([
      'weather-forecast',
      'weather-historical',
      'weather-point',
      'event-search',
      'honoured',
      'relay',
    ]);
  });

  test('has the lifetimes that its comments say', () => {
    const [forecast, historical, , events, honoured, relay] = configOf(contractFile).routes;
    expect(forecast?.policy).toEqual({
      upstreamCacheControl: 'ignore',
      clientCacheControl: 'ignore',
      ttlMs: 3_600_000,
      staleWhileRevalidateMs: 600_000,
      staleIfErrorMs: 21_600_000,
      retainMs: 86_400_000,
      keepForValidationMs: 0,
      statusTtlMs: new Map(),
      heuristicFraction: 0,
      heuristicMaxMs: 0,
      storeErrors: 'resource',
      storeFields: 'safe',
      expireAt: undefined,
      softTimeoutMs: undefined,
      storeIf: undefined,
      maxStoredBytes: 8_388_608,
    });
    expect(historical?.policy.ttlMs).toBe(86_400_000);
    expect(events?.policy.ttlMs).toBe(1_800_000);
    expect(honoured?.policy).toMatchObject({
      upstreamCacheControl: 'honour',
      clientCacheControl: 'honour',
      ttlMs: undefined,
      retainMs: 604_800_000,
    });
    expect(honoured).toMatchObject({ rawQuery: true, forward: undefined, cache: 'on' });
    expect(honoured?.forwardHeaders).toEqual(['accept', 'accept-language', 'accept-encoding', 'user-agent']);
    expect(relay?.cache).toBe('off');
  });

  test('has the parameter rules that it writes down', () => {
    const [forecast, , point, events] = configOf(contractFile).routes;
    expect(forecast?.params.get('location')).toEqual({
      name: 'location',
      kind: { type: 'text', fold: true },
      required: true,
      default: undefined,
      aliases: [],
      repeat: false,
      secret: false,
    });
    expect(forecast?.params.get('days')).toMatchObject({ kind: { type: 'integer' }, default: '7' });
    expect(point?.params.get('lat')?.kind).toEqual({ type: 'decimal', places: 2, min: -90, max: 90 });
    expect(events?.params.get('categories')?.kind).toEqual({ type: 'set', fold: true });
    expect(events?.secret).toEqual(['apikey']);
  });

  test('has the warming and purging that it writes down', () => {
    const { warm, purge } = configOf(contractFile);
    expect(warm).toMatchObject({ locations: ['berlin', 'paris', 'new york'], concurrency: 4, reuseAbove: 0.5 });
    expect(warm.jobs.map((job) => [job.name, job.everyMs, job.jitterMs, job.zone])).toEqual([
      ['weather-forecast', 3_600_000, 360_000, 'UTC'],
      ['event-search', 1_800_000, 180_000, 'UTC'],
    ]);
    expect(warm.jobs[1]?.with).toEqual(
      new Map([
        ['location', '{location}'],
        ['start', '{today}'],
        ['end', '{today+7d}'],
      ]),
    );
    expect(purge.schedule).toEqual([
      { cron: '0 6 * * *', zone: 'UTC', selector: { by: 'route', route: 'event-search' }, soft: true },
    ]);
  });

  test('keeps to memory where nothing says where Redis is, and goes there where something does', () => {
    expect(configOf(contractFile).store.redis).toBeUndefined();
    expect(configOf(contractFile, { REDIS_URL: 'redis://:s3cret@cache:6380/2' }).store.redis).toMatchObject({
      topology: { kind: 'standalone', host: 'cache', port: 6380 },
      password: 's3cret',
      database: 2,
      keyPrefix: 'forecache',
      timeoutMs: 50,
    });
    const env = { REDIS_HOST: 'cache', REDIS_PORT: '6380', REDIS_DB: '2', REDIS_PASSWORD: 's3cret' };
    expect(configOf(contractFile, env).store).toEqual(
      configOf(contractFile, { REDIS_URL: 'redis://:s3cret@cache:6380/2' }).store,
    );
    expect(configOf(small, { REDIS_URL: 'redis://redis' }).store.redis).toBeUndefined();
  });

  test('takes its addresses and keys from the environment', () => {
    const config = configOf(contractFile, {
      FORECACHE_LISTEN: '[::1]:0',
      FORECACHE_ADMIN_LISTEN: '0.0.0.0:9090',
      FORECACHE_ADMIN_TOKEN: 'tok-en_1',
      WEATHER_ORIGIN: 'https://Weather.test:443/',
      EVENTS_API_KEY: 'k#1&',
    });
    expect(config.server.listeners[0]).toEqual({ name: 'default', host: '::1', port: 0 });
    expect(config.admin).toEqual({ host: '0.0.0.0', port: 9090, token: 'tok-en_1', maxBodyBytes: 65_536 });
    expect(config.upstreams.get('weather')?.origin).toBe('https://weather.test');
    expect(config.upstreams.get('events')?.credentials.query).toEqual(new Map([['apikey', 'k#1&']]));
  });
});

describe('a small file', () => {
  test('has the defaults of everything else', () => {
    const config = configOf(small);
    expect(config.server).toMatchObject({
      limits: { maxHeaderBytes: 16_384, maxHeaderFields: 100, maxTargetBytes: 8192, maxBodyBytes: 10_485_760 },
      timeouts: { headersMs: 10_000, requestMs: 300_000, keepAliveMs: 65_000, sendMs: 30_000 },
      drainDelayMs: 0,
      graceMs: 30_000,
      fastLane: true,
      workers: 1,
    });
    expect(config.log).toEqual({ level: 'info', requests: false });
    expect(config.warm).toEqual({ locations: [], jobs: [], concurrency: 4, reuseAbove: 0.5 });
    expect(config.purge).toEqual({ schedule: [] });
    expect(config.upstreams.get('api')).toMatchObject({
      connectTimeoutMs: 3000,
      headersTimeoutMs: 10_000,
      bodyTimeoutMs: 10_000,
      totalTimeoutMs: 10_000,
      acceptEncoding: 'gzip',
      framing: 'strict',
    });
    expect(config.routes[0]).toMatchObject({ maxKeyBytes: 512, unknownQuery: 'keep', rawQuery: false, cache: 'on' });
  });

  test.each([
    'server:',
    'server: { listeners: , limits: ~, timeouts: null }',
    'admin:\nlog:\nstore:\n  memory:\n  redis:',
    'warm:',
    'warm:\n  # locations: [berlin]\n  jobs:\n    # - { route: one, every: 1h }',
    'purge:\n  schedule:',
  ])('takes a section without contents for one that is left out: %j', (section) => {
    expect(configOf(`${small}${section}\n`)).toEqual(configOf(small));
    expect(configOf(`${small}${section}\n`, { REDIS_URL: 'redis://redis' }).routes).toHaveLength(1);
  });

  test('takes options without contents for ones that are left out', () => {
    const [route] = configOf(
      withRoute('ttl: 1h, query: , pathParams: , tags: , headers: , secret: , storeIf: '),
    ).routes;
    expect(route).toEqual(configOf(withRoute('ttl: 1h')).routes[0]);
  });

  test('is frozen all the way down, maps too', () => {
    const config = configOf(small);
    const upstreams: unknown = config.upstreams;
    expect(Object.isFrozen(config)).toBe(true);
    expect(Object.isFrozen(config.routes[0]?.policy)).toBe(true);
    expect(Object.isFrozen(config.upstreams.get('api'))).toBe(true);
    expect(() => upstreams instanceof Map && upstreams.set('x', 1)).toThrow('does not change');
  });

  test.each([
    ['bodyTimeout: 7s', { headersTimeoutMs: 2000, bodyTimeoutMs: 7000, totalTimeoutMs: 2000 }],
    ['headersTimeout: 7s', { headersTimeoutMs: 7000, bodyTimeoutMs: 2000, totalTimeoutMs: 2000 }],
    ['totalTimeout: 7s', { headersTimeoutMs: 2000, bodyTimeoutMs: 2000, totalTimeoutMs: 7000 }],
  ])('lets timeout stand for the timeouts that are not given: %s', (given, timeouts) => {
    const text = small.replace('9" }', `9", timeout: 2s, ${given} }`);
    expect(configOf(text).upstreams.get('api')).toMatchObject(timeouts);
  });

  test.each([
    ['ttl: 1h', 3_600_000],
    ['ttl: 1h, staleWhileRevalidate: 10m, staleIfError: 6h', 25_200_000],
    ['ttl: 1h, staleIfError: 30d', 604_800_000],
    ['ttl: 30d, staleIfError: 30d', 2_592_000_000],
    ['upstreamCacheControl: honour', 604_800_000],
    ['upstreamCacheControl: honour, ttl: 1m', 604_800_000],
    ['upstreamCacheControl: honour, ttl: 30d', 2_592_000_000],
    ['ttl: 2h, retain: 1h', 3_600_000],
  ])('retains a route with %s for %d ms', (options, retainMs) => {
    expect(configOf(withRoute(options)).routes[0]?.policy.retainMs).toBe(retainMs);
  });

  test.each([
    ['ttl: 1h', 3_600_000],
    ['ttl: 1h, staleIfError: 6h', 3_600_000],
    ['ttl: 30d', 604_800_000],
    ['ttl: 1h, upstreamCacheControl: cap', 3_600_000],
    ['ttl: 1h, retain: 24h', 0],
    ['ttl: 1h, upstreamCacheControl: honour', 0],
    ['upstreamCacheControl: honour', 0],
    ['cache: off', 0],
  ])('keeps what has a validator on a route with %s for %d ms more', (options, keepMs) => {
    expect(configOf(withRoute(options)).routes[0]?.policy.keepForValidationMs).toBe(keepMs);
  });

  test.each([
    ['cache: off', 'off'],
    ['cache: false', 'off'],
    ['cache: "off"', 'off'],
    ['cache: on, ttl: 1h', 'on'],
    ['cache: true, ttl: 1h', 'on'],
  ])('reads %s', (options, cache) => {
    expect(configOf(withRoute(options)).routes[0]?.cache).toBe(cache);
  });

  test.each([
    ['upstreamCacheControl: honour', true],
    ['upstreamCacheControl: honour, ignore: utm_source', false],
    ['upstreamCacheControl: honour, secret: key', false],
    ['upstreamCacheControl: honour, unknownQuery: drop', false],
    ['upstreamCacheControl: honour, query: { a: { type: text } }', false],
    ['upstreamCacheControl: cap, ttl: 1h', false],
  ])('keeps the query of a route with %s byte for byte: %s', (options, raw) => {
    expect(configOf(withRoute(options)).routes[0]?.rawQuery).toBe(raw);
  });

  test('merges secret names in lower case, and gives defaults their canonical form', () => {
    const text = withRoute('ttl: 1h, secret: [Token, KEY], query: { p: { type: decimal, default: +52.50 } }').replace(
      '9" }',
      '9", credentials: { query: { ApiKey: x, key: y } } }',
    );
    const [route] = configOf(text).routes;
    expect(route?.secret).toEqual(['token', 'key', 'apikey']);
    expect(route?.params.get('p')?.default).toBe('52.5');
  });

  test('rounds ends up where it is told so', () => {
    const [route] = configOf(withRoute('ttl: 1h, query: { end: { type: datetime, ceil: 5m } }')).routes;
    expect(route?.params.get('end')?.kind).toEqual({ type: 'datetime', floorMs: undefined, ceilMs: 300_000 });
  });

  test('lower-cases field names and keeps an empty credential, under whose name clients send nothing', () => {
    const text = small.replace(
      '9" }',
      '9", credentials: { headers: { X-Key: "${KEY:-}" } }, fields: { User-Agent: a/1 } }',
    );
    const upstream = configOf(text).upstreams.get('api');
    expect(upstream?.credentials.headers).toEqual(new Map([['x-key', '']]));
    expect(upstream?.fields).toEqual(new Map([['user-agent', 'a/1']]));
  });

  test('gives jobs of one route names of their own, and places of a point their ranges', () => {
    const text = `${withRoute('ttl: 1h, query: { p: { type: point, places: 3, lat: { places: 1 } } }')}
warm: { jobs: [{ route: one, every: 1h }, { route: one, every: 2h, jitter: 0 }] }
`;
    const config = configOf(text);
    expect(config.warm.jobs.map((job) => [job.name, job.jitterMs])).toEqual([
      ['one', 360_000],
      ['one-2', 0],
    ]);
    expect(config.routes[0]?.params.get('p')?.kind).toEqual({
      type: 'point',
      lat: { type: 'decimal', places: 1, min: -90, max: 90 },
      lon: { type: 'decimal', places: 3, min: -180, max: 180 },
    });
  });

  test.each([
    ['one that is written behind it', ['', 'one'], ['one-2', 'one']],
    ['numbered ones too', ['', 'one-2', 'one', ''], ['one-3', 'one-2', 'one', 'one-4']],
  ])('gives no job the name of another: %s', (_, written, names) => {
    const jobs = written.map((name) => `{ route: one, every: 1h${name === '' ? '' : `, name: ${name}`} }`);
    const config = configOf(`${small}warm: { jobs: [${jobs.join(', ')}] }\n`);
    expect(config.warm.jobs.map((job) => job.name)).toEqual(names);
  });

  test('gives no job the name of warming by call, and refuses it where it is written', () => {
    const text = `${small.replace('name: one,', 'name: api,')}warm: { jobs: [{ route: api, every: 1h }] }\n`;
    expect(configOf(text).warm.jobs.map((job) => job.name)).toEqual(['api-2']);
    expect(issuesOf(text.replace('1h }] }', '1h, name: api }] }'))).toEqual([
      '5:47: warm.jobs[0].name: "api" is what reports and metrics call warming by call; give the job another name',
    ]);
  });

  test.each([
    ['tag: a', { by: 'tags', tags: ['a'] }],
    ['tags: [a, b]', { by: 'tags', tags: ['a', 'b'] }],
    ['prefix: /one', { by: 'prefix', prefix: '/one' }],
    ['url: "/one?a=b"', { by: 'url', url: '/one?a=b' }],
    ['key: one|/one', { by: 'key', key: 'one|/one' }],
    ['all: true', { by: 'all' }],
  ])('schedules a purge of %s', (written, selector) => {
    const text = `${small}purge: { schedule: [{ cron: "0 6 * * *", zone: Europe/Berlin, ${written} }] }\n`;
    expect(configOf(text).purge.schedule).toEqual([
      { cron: '0 6 * * *', zone: 'Europe/Berlin', selector, soft: false },
    ]);
  });

  test('repeats values by alias', () => {
    const text = `
upstreams: { api: { origin: "http://127.0.0.1:9" } }
routes:
  - { name: one, match: /one, upstream: api, ttl: 1h, query: &rules { a: { type: integer, default: 07 } } }
  - { name: two, match: /two, upstream: api, ttl: 1h, query: *rules }
`;
    expect(configOf(text).routes.map((route) => route.params.get('a')?.default)).toEqual(['7', '7']);
  });

  test('is read from disk, with a byte order mark or without, and its certificate file beside it', () => {
    const file = join(folder, 'bom.yaml');
    writeFileSync(file, `\u{feff}${small.replace('9" }', '9", caFile: ca.pem }')}`);
    const loaded = loadConfig(file, {});
    expect(loaded.ok && loaded.value.upstreams.get('api')?.caFile).toBe(join(folder, 'ca.pem'));
  });
});

describe('checks that are passed in', () => {
  test('refuse RFC 9535 queries and cron expressions with their own words', () => {
    const text = `${withRoute('ttl: 1h, storeIf: { exists: "$[", absent: [$.ok, "$]"] }')}
purge: { schedule: [{ cron: never, all: true }] }
`;
    const checks = {
      checkQuery: (query: string) => (query === '$.ok' ? undefined : `${query} is no query`),
      checkCron: (expression: string) => `${expression} is no cron`,
    };
    expect(issuesOf(text, {}, checks)).toEqual([
      '3:74: routes[0].storeIf.exists[0]: $[ is no query',
      '3:95: routes[0].storeIf.absent[1]: $] is no query',
      '5:29: purge.schedule[0].cron: never is no cron',
    ]);
    expect(issuesOf(text)).toEqual([]);
  });
});

describe('a file that cannot be read', () => {
  test.each([
    ['nowhere.yaml', 'cannot be read: there is no such file (ENOENT)'],
    ['', 'cannot be read: it is a directory (EISDIR)'],
  ])('is an issue of its own: %j', (name, message) => {
    const file = join(folder, name);
    expect(loadConfig(file, {})).toEqual({ ok: false, error: [{ file, line: 1, column: 1, path: '(file)', message }] });
  });

  test('is read to one byte past the limit, never further', () => {
    const loaded = loadConfig('/dev/zero', {});
    expect(loaded.ok ? [] : loaded.error.map(formatIssue)).toEqual([
      '/dev/zero:1:1: (file): is larger than 1MiB, the most a configuration file may have',
    ]);
    expect(readConfig(Buffer.alloc(2 ** 20, '#')).ok).toBe(false);
    expect(issuesOf(Buffer.alloc(2 ** 20, '#'))).not.toContain(
      '1:1: (file): is larger than 1MiB, the most a configuration file may have',
    );
  });
});
