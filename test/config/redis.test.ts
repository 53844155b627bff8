import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';

import { redisSecrets } from '../../src/config/compile-redis.ts';
import { formatIssue } from '../../src/config/issue.ts';
import type { RedisConfig } from '../../src/core/config.ts';
import { loadConfigFile } from '../../src/offline.ts';
import { selfSigned } from '../support/certificate.ts';
import { configOf, issuesOf } from '../support/config-text.ts';
import { redisConfig } from '../support/redis-config.ts';

type Env = Readonly<Record<string, string>>;

/** A file whose `store.redis` on its first line says this. */
function file(section: string): string {
  return `store: { redis: { ${section} } }
upstreams: { api: { origin: "http://127.0.0.1:9" } }
routes:
  - { name: one, match: /one, upstream: api, ttl: 1h }
`;
}

function redisOf(section: string, env: Env = {}): RedisConfig {
  const { redis } = configOf(file(section), env).store;
  if (!redis) throw new Error('memory only');
  return redis;
}

/** Where to put what is no host. */
const elsewhere = 'a port goes into REDIS_PORT, a URL into REDIS_URL';

/** Issues of the section, without line and the beginning of the path. */
function faultsOf(section: string, env: Env = {}): readonly string[] {
  return issuesOf(file(section), env).map((issue) => issue.replace(/^1:\d+: store\.redis\.?/, ''));
}

function nodes(count: number): string {
  return Array.from({ length: count }, (_, at) => `"h${at}:1"`).join(', ');
}

describe('an address of Redis', () => {
  test('has the defaults of everything else', () => {
    expect(redisOf('url: "redis://127.0.0.1:6380"')).toEqual(redisConfig({ port: 6380, password: undefined }));
  });

  test.each([
    [
      'redis://cache',
      { topology: { kind: 'standalone', host: 'cache', port: 6379 }, database: 0, password: undefined },
    ],
    ['redis://cache/', { database: 0 }],
    ['redis://cache:7000/3', { topology: { kind: 'standalone', host: 'cache', port: 7000 }, database: 3 }],
    ['redis://:p%40ss%2Fw%3Ard@cache', { username: undefined, password: 'p@ss/w:rd' }],
    ['redis://ann:pw@cache', { username: 'ann', password: 'pw' }],
    ['redis://[::1]:7000', { topology: { kind: 'standalone', host: '::1', port: 7000 } }],
    [
      'redis://Cache_1.example',
      { topology: { kind: 'standalone', host: 'Cache_1.example', port: 6379 }, tls: undefined },
    ],
    ['rediss://cache', { tls: { caFile: undefined, certFile: undefined, keyFile: undefined, serverName: undefined } }],
  ])('is read from %s', (url, expected) => {
    expect(redisOf(`url: "${url}"`)).toMatchObject(expected);
    expect(redisOf('', { REDIS_URL: url })).toMatchObject(expected);
  });

  const slips: readonly (readonly [string, string])[] = [
    ['http://:hunter2@cache', 'is no Redis URL'],
    ['cache:6379', 'is no Redis URL'],
    ['redis://:hunter2/x@cache:6379', 'is no Redis URL'],
    ['redis://ann:12/hunter2@cache', 'has a path that is no number of a database'],
    ['redis://', 'has no host'],
    ['redis://:hunter2@', 'is no Redis URL'],
    ['redis://999.1.1.1', 'has a host that is neither a name nor an address'],
    ['redis://cache:0', 'has port 0'],
    ['redis://cache:70000', 'is no Redis URL'],
    ['redis://cache/hunter2', 'has a path that is no number of a database'],
    [
      'redis://:p@hunter2/w@a',
      'has a path that is no number of a database; in user and password the characters :/?#[]@% are written as %XX',
    ],
    ['redis://cache/1000001', 'has a path that is no number of a database'],
    ['redis://cache?password=hunter2', 'has a ? or #'],
    ['redis://cache/0#hunter2', 'has a ? or #'],
    ['redis://:hunter2%zz@cache', 'has a % that is no %XX'],
  ];

  test.each(slips)('such as %s is refused, and nothing of it is shown', (url, message) => {
    const [fault = '', ...more] = faultsOf(`url: "${url}"`);
    expect([fault.slice(0, 5 + message.length), more]).toEqual([`url: ${message}`, []]);
    const [found = ''] = faultsOf('', { REDIS_URL: url });
    expect(found).toContain(`the environment's REDIS_URL ${message}`);
    expect(fault + found).not.toMatch(/hunter2|999|70000/);
  });

  test.each(['redis://$HOST:6379', 'redis://cache:$PORT', '$REDIS_ADDRESS'])(
    'with a variable without braces, such as %s, is refused with how variables are written',
    (url) => {
      expect(faultsOf(`url: "${url}"`)).toEqual([expect.stringMatching(/; variables are written \$\{NAME\}$/)]);
      // In the environment nothing stands for variables.
      expect(faultsOf('', { REDIS_URL: url }).join('')).not.toContain('variables');
    },
  );

  test('is refused with a database past the last number, and taken with the last', () => {
    expect(redisOf('url: "redis://cache/1000000"').database).toBe(1_000_000);
    expect(redisOf('url: "redis://cache", database: 1000000').database).toBe(1_000_000);
    expect(faultsOf('url: "redis://cache", database: 1000001')).toEqual([
      'database: is at most 1000000, given 1000001',
    ]);
  });
});

describe('the environment', () => {
  test('serves only where the file has a section and nothing in it says where Redis is', () => {
    const env = { REDIS_URL: 'redis://other' };
    expect(redisOf('', env).topology).toMatchObject({ host: 'other' });
    expect(redisOf('url: ""', env).topology).toMatchObject({ host: 'other' });
    expect(redisOf('url: "redis://cache"', env).topology).toMatchObject({ host: 'cache' });
    expect(redisOf('cluster: ["a:1"]', env).topology).toMatchObject({ kind: 'cluster' });
    expect(redisOf('sentinels: ["a:1"], name: m', env).topology).toMatchObject({ kind: 'sentinel' });
    expect(configOf(file('').replace('redis: {  }', ''), env).store.redis).toBeUndefined();
    expect(configOf(file('')).store.redis).toBeUndefined();
  });

  test('says it by REDIS_URL before REDIS_HOST', () => {
    expect(redisOf('', { REDIS_URL: 'redis://a', REDIS_HOST: 'b' }).topology).toMatchObject({ host: 'a' });
    expect(redisOf('', { REDIS_URL: '', REDIS_HOST: 'b' }).topology).toMatchObject({ host: 'b', port: 6379 });
  });

  test('gives host, port, database, user and password one by one', () => {
    const env = {
      REDIS_HOST: 'cache',
      REDIS_PORT: '7000',
      REDIS_DB: '4',
      REDIS_USERNAME: 'ann',
      REDIS_PASSWORD: 'pw',
    };
    expect(redisOf('', env)).toMatchObject({
      topology: { kind: 'standalone', host: 'cache', port: 7000 },
      database: 4,
      username: 'ann',
      password: 'pw',
    });
    expect(redisOf('database: 5, password: other', env)).toMatchObject({
      database: 5,
      password: 'other',
      username: undefined,
    });
  });

  test('gives the password where neither the URL nor the file does', () => {
    const env = { REDIS_PASSWORD: 'env' };
    expect(redisOf('url: "redis://cache"', env).password).toBe('env');
    expect(redisOf('url: "redis://:url@cache"', env).password).toBe('url');
    expect(redisOf('url: "redis://cache", password: file', env).password).toBe('file');
    expect(redisOf('cluster: ["a:1"]', env).password).toBe('env');
    expect(redisOf('url: "redis://ann@cache"', env)).toMatchObject({ username: 'ann', password: 'env' });
  });

  test.each([
    [{ REDIS_PORT: '0' }, 'REDIS_PORT is no port (1 to 65535), given "0"'],
    [{ REDIS_PORT: '65536' }, 'REDIS_PORT is no port (1 to 65535), given "65536"'],
    [{ REDIS_PORT: '63x' }, 'REDIS_PORT is no port (1 to 65535), given "63x"'],
    [{ REDIS_DB: 'x' }, 'REDIS_DB is no number of a database, given "x"'],
    [{ REDIS_HOST: 'a b' }, `REDIS_HOST has a host that is neither a name nor an address, given "a b"; ${elsewhere}`],
    [
      { REDIS_HOST: 'cache:6379' },
      `REDIS_HOST has a host that is neither a name nor an address, given "cache:6379"; ${elsewhere}`,
    ],
  ])('is refused with %j', (env, message) => {
    expect(faultsOf('', { REDIS_HOST: 'cache', ...env })).toEqual([`: the environment's ${message}`]);
    expect(redisOf('', { REDIS_HOST: 'cache', REDIS_PORT: '65535' }).topology).toMatchObject({ port: 65_535 });
  });

  test('has no port of Redis where Kubernetes put the address of a service called redis', () => {
    const injected = { REDIS_PORT: 'tcp://10.0.0.1:6379', REDIS_PORT_6379_TCP: 'tcp://10.0.0.1:6379' };
    expect(faultsOf('', { REDIS_HOST: 'redis', ...injected })).toEqual([
      `: the environment's REDIS_PORT is "tcp://10.0.0.1:6379", which Kubernetes (and Docker, with links) puts there for a service called redis; set REDIS_PORT to the number of the port, or use REDIS_URL`,
    ]);
    expect(redisOf('url: "redis://redis"', injected).topology).toMatchObject({ host: 'redis', port: 6379 });
    expect(redisOf('', { REDIS_URL: 'redis://redis', ...injected }).topology).toMatchObject({ port: 6379 });
    expect(configOf(file(''), injected).store.redis).toBeUndefined();
  });
});

describe('Sentinels and clusters', () => {
  test('are lists of host:port', () => {
    expect(
      redisOf('sentinels: ["s1:26379", "[::1]:26380"], name: main, sentinelUsername: sen, sentinelPassword: spw')
        .topology,
    ).toEqual({
      kind: 'sentinel',
      sentinels: [
        { host: 's1', port: 26_379 },
        { host: '::1', port: 26_380 },
      ],
      name: 'main',
      sentinelUsername: 'sen',
      sentinelPassword: 'spw',
    });
    expect(redisOf('cluster: ["n1:1", "n2:65535"], username: ann, password: pw')).toMatchObject({
      topology: {
        kind: 'cluster',
        nodes: [
          { host: 'n1', port: 1 },
          { host: 'n2', port: 65_535 },
        ],
      },
      username: 'ann',
      password: 'pw',
      database: 0,
    });
  });

  test.each([
    [
      'url: "redis://x", cluster: ["a:1"]',
      'cluster: is beside url; exactly one of url, sentinels and cluster says where Redis is',
    ],
    [
      'sentinels: ["a:1"], name: m, cluster: ["a:1"]',
      'cluster: is beside sentinels; exactly one of url, sentinels and cluster says where Redis is',
    ],
    ['sentinels: ["a:1"]', 'sentinels: needs `name` beside it: the name by which the Sentinels know the master'],
    ['sentinels: ["a:1"], name: m, sentinelUsername: s', 'sentinelUsername: needs a sentinelPassword'],
    ['url: "redis://x", name: m', 'name: is for sentinels, of which there are none'],
    ['cluster: ["a:1"], sentinelPassword: hunter2', 'sentinelPassword: is for sentinels, of which there are none'],
    ['cluster: ["a:1"], database: 1', 'database: a Redis Cluster has database 0 alone'],
    ['cluster: []', 'cluster: is empty; it needs at least one value, or the option is left out'],
    ['cluster: ["a"]', 'cluster[0]: expected host:port such as redis-0:6379 or [::1]:6379, given "a"'],
    ['cluster: ["a:0"]', 'cluster[0]: a port is 1 to 65535, given 0'],
    ['cluster: ["a:65536"]', 'cluster[0]: a port is 1 to 65535, given 65536'],
    [
      'sentinels: ["redis://a:1"], name: m',
      'sentinels[0]: expected host:port such as redis-0:6379 or [::1]:6379, given "redis://a:1"',
    ],
    ['url: "redis://ann:pw@x", username: bob', 'username: is in the URL too; one of them is enough'],
    ['url: "redis://:pw@x", password: hunter2', 'password: is in the URL too; one of them is enough'],
    ['url: "redis://x/1", database: 1', 'database: is in the URL too; one of them is enough'],
    [
      'url: "redis://x", username: ann',
      'username: a user needs a password: in the URL, in `password`, or in REDIS_PASSWORD',
    ],
    ['url: "redis://ann@x"', ': a user needs a password: in the URL, in `password`, or in REDIS_PASSWORD'],
  ])('are refused: %s', (section, fault) => {
    expect(faultsOf(section)).toEqual([fault]);
  });

  test('are at most 20 and 100', () => {
    expect(redisOf(`cluster: [${nodes(100)}]`).topology).toMatchObject({ kind: 'cluster' });
    expect(faultsOf(`cluster: [${nodes(101)}]`)).toEqual(['cluster: has at most 100 values, given 101']);
    expect(redisOf(`name: m, sentinels: [${nodes(20)}]`).topology).toMatchObject({ kind: 'sentinel' });
    expect(faultsOf(`name: m, sentinels: [${nodes(21)}]`)).toEqual(['sentinels: has at most 20 values, given 21']);
  });
});

describe('the lease', () => {
  test('is two seconds for strict coherence and five minutes for available', () => {
    expect(redisOf('url: "redis://x", coherence: strict').leaseMs).toBe(2000);
    expect(redisOf('url: "redis://x", coherence: available').leaseMs).toBe(300_000);
    expect(redisOf('url: "redis://x", coherence: available, lease: 1s').leaseMs).toBe(1000);
  });

  test('is at most a minute where purges have to wait for it', () => {
    expect(redisOf('url: "redis://x", lease: 60s').leaseMs).toBe(60_000);
    expect(faultsOf('url: "redis://x", lease: 61s')).toEqual([
      'lease: is at most 60s with coherence: strict, since a purge may have to wait for so long',
    ]);
    expect(redisOf('url: "redis://x", lease: 1h, coherence: available').leaseMs).toBe(3_600_000);
  });
});

interface Bounds {
  readonly option: string;
  /** The least and the most that are taken. */
  readonly good: readonly [string, string];
  /** Just past them. */
  readonly bad: readonly [string, string];
  /** What else the section must say for them. */
  readonly beside?: string;
}

const bounds: readonly Bounds[] = [
  { option: 'timeout', good: ['1ms', '10s'], bad: ['0', '10001ms'] },
  { option: 'maxObjectBytes', good: ['1KiB', '256MiB'], bad: ['1023', '257MiB'], beside: 'maxPendingBytes: 1GiB' },
  { option: 'maxPendingBytes', good: ['64KiB', '1GiB'], bad: ['65535', '2GiB'], beside: 'maxObjectBytes: 1KiB' },
  { option: 'compressAbove', good: ['64', '256MiB'], bad: ['63', '257MiB'] },
  { option: 'lease', good: ['200ms', '1h'], bad: ['199ms', '61m'], beside: 'coherence: available' },
  { option: 'purgeWait', good: ['10ms', '1m'], bad: ['9ms', '61s'] },
  { option: 'minReplicas', good: ['0', '10'], bad: ['-1', '11'] },
  { option: 'purgeRetention', good: ['1m', '30d'], bad: ['59s', '31d'] },
  { option: 'maxPurges', good: ['10', '10000000'], bad: ['9', '10000001'] },
  { option: 'maxScopes', good: ['1000', '10000000'], bad: ['999', '10000001'] },
  { option: 'fillLock', good: ['50ms', '1m'], bad: ['49ms', '61s'] },
  { option: 'jobLease', good: ['500ms', '10m'], bad: ['499ms', '601s'] },
  { option: 'countersEvery', good: ['100ms', '1m'], bad: ['99ms', '61s'] },
  { option: 'failures', good: ['1', '1000'], bad: ['0', '1001'] },
  { option: 'pause', good: ['10ms', '1m'], bad: ['9ms', '61s'], beside: 'maxPause: 10m' },
  { option: 'maxPause', good: ['10ms', '10m'], bad: ['9ms', '601s'], beside: 'pause: 10ms' },
];

const ofBreaker = ['failures', 'pause', 'maxPause'];

describe('a number of the shared tier', () => {
  test.each(bounds)('$option is taken at its bounds and refused past them', ({ option, good, bad, beside = '' }) => {
    const section = (value: string): string => {
      const options = [`${option}: ${value}`, ...(beside === '' ? [] : [beside])].join(', ');
      return `url: "redis://x", ${ofBreaker.includes(option) ? `breaker: { ${options} }` : options}`;
    };
    for (const value of good) expect(faultsOf(section(value))).toEqual([]);
    expect(faultsOf(section(bad[0]))).toEqual([expect.stringContaining(`${option}: is at least `)]);
    expect(faultsOf(section(bad[1]))).toEqual([expect.stringContaining(`${option}: is at most `)]);
  });

  test('is refused where it contradicts another', () => {
    expect(faultsOf('url: "redis://x", breaker: { pause: 2s, maxPause: 1s }')).toEqual([
      'breaker.maxPause: is below pause, which is the first of the pauses',
    ]);
    expect(faultsOf('maxObjectBytes: 2MiB, maxPendingBytes: 1MiB')).toEqual([
      'maxPendingBytes: is below maxObjectBytes: the largest values would never be written',
    ]);
  });

  test('is off for compression where it says so', () => {
    expect(redisOf('url: "redis://x", compressAbove: off').compressAboveBytes).toBeUndefined();
    expect(redisOf('url: "redis://x", compressAbove: 4KiB').compressAboveBytes).toBe(4096);
  });
});

describe('the key prefix', () => {
  test.each(['a', 'A.b_c:d-9', 'x'.repeat(64)])('is taken: %s', (prefix) => {
    expect(redisOf(`url: "redis://x", keyPrefix: "${prefix}"`).keyPrefix).toBe(prefix);
  });

  test.each(['a b', '{a}', 'ä', 'a*', 'x'.repeat(65)])('is refused: %s', (prefix) => {
    expect(faultsOf(`url: "redis://x", keyPrefix: "${prefix}"`)[0]).toMatch(/^keyPrefix: is 1 to 64 letters, /);
  });
});

describe('TLS', () => {
  test('is on by a URL or by its option, and its files are relative to the configuration', () => {
    const files = 'caFile: ca.pem, certFile: /c.pem, keyFile: k.pem, serverName: redis.internal';
    const tls = { caFile: '/etc/ca.pem', certFile: '/c.pem', keyFile: '/etc/k.pem', serverName: 'redis.internal' };
    expect(redisOf(`url: "rediss://x", tls: { ${files} }`).tls).toEqual(tls);
    expect(redisOf(`url: "redis://x", tls: { enabled: true, ${files} }`).tls).toEqual(tls);
    expect(redisOf(`cluster: ["a:1"], tls: { enabled: true, ${files} }`).tls).toEqual(tls);
    expect(redisOf('url: "redis://x", tls: { enabled: false }').tls).toBeUndefined();
  });

  test.each([
    ['url: "rediss://x", tls: { enabled: false }', 'tls.enabled: is false, but the URL is rediss://'],
    ['url: "redis://x", tls: { caFile: a }', 'tls.caFile: does nothing without `enabled: true` or a rediss:// URL'],
    [
      'url: "redis://x", tls: { serverName: a }',
      'tls.serverName: does nothing without `enabled: true` or a rediss:// URL',
    ],
    ['url: "rediss://x", tls: { certFile: a }', 'tls.certFile: needs keyFile beside it'],
    ['url: "rediss://x", tls: { keyFile: a }', 'tls.keyFile: needs certFile beside it'],
  ])('is refused: %s', (section, fault) => {
    expect(faultsOf(section)).toEqual([fault]);
  });

  test('has certificates and keys that can be read and belong together, before the start', async () => {
    using one = await selfSigned();
    using other = await selfSigned();
    const folder = mkdtempSync(join(tmpdir(), 'forecache-redis-config-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    writeFileSync(join(folder, 'one.key'), one.key);
    writeFileSync(join(folder, 'other.key'), other.key);
    writeFileSync(join(folder, 'none.key'), 'hunter2');
    const problems = (files: string): readonly string[] => {
      const path = join(folder, 'f.yaml');
      writeFileSync(path, file(`url: "rediss://x", tls: { ${files} }`));
      const loaded = loadConfigFile(path, {});
      return loaded.ok ? [] : loaded.error.map((issue) => formatIssue(issue).replaceAll(`${folder}/`, ''));
    };
    expect(problems(`caFile: ${one.certFile}, certFile: ${one.certFile}, keyFile: one.key`)).toEqual([]);
    expect(problems(`certFile: ${one.certFile}, keyFile: other.key`)).toEqual([
      expect.stringContaining(`tls.keyFile: other.key is not the key of ${one.certFile}`),
    ]);
    expect(problems(`certFile: ${one.certFile}, keyFile: none.key`)).toEqual([
      expect.stringContaining('tls.keyFile: none.key holds no private key in PEM'),
    ]);
    expect(problems(`certFile: ${one.certFile}, keyFile: gone.key`)).toEqual([
      expect.stringContaining('tls.keyFile: gone.key cannot be read: ENOENT'),
    ]);
    expect(problems('certFile: one.key, keyFile: one.key')).toEqual([
      expect.stringContaining('tls.certFile: one.key holds no certificate in PEM'),
    ]);
    expect(problems('caFile: gone.pem')).toEqual([
      expect.stringContaining('tls.caFile: gone.pem cannot be read: ENOENT'),
    ]);
  });
});

describe('secrets', () => {
  test('of Redis are its passwords, also as a URL has them', () => {
    expect(redisSecrets(undefined)).toEqual([]);
    expect(redisSecrets(redisOf('url: "redis://x"'))).toEqual([]);
    expect(redisSecrets(redisOf('url: "redis://:p%40ss@x"'))).toEqual(['p@ss', 'p%40ss']);
    const sentinel = redisOf('sentinels: ["a:1"], name: m, sentinelPassword: spw, password: pw');
    expect(redisSecrets(sentinel)).toEqual(['pw', 'spw']);
  });

  test('are in no message, whatever else is wrong', () => {
    const section =
      'password: hunter2, sentinelPassword: hunter2, username: ann, cluster: [x], timeout: never, url: "redis://:hunter2@y:x"';
    expect(faultsOf(section).length).toBeGreaterThan(1);
    expect(faultsOf(section).join('\n')).not.toContain('hunter2');
  });
});
