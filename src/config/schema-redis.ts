import { ok } from '../core/problem.ts';
import { maxDatabase, parseRedisNode } from './redis-address.ts';
import { choice, listOf, map, option } from './schema-base.ts';
import { duration, flag, numeric, scalar, secretText, size, text } from './schema-scalars.ts';
import { type Bounds, formatSize, parseSize, quoted } from './units.ts';

const minute = 60_000;
const hour = 3_600_000;
const day = 86_400_000;

/** The most that `purgeRetention` can be. */
export const longestPurgeRetentionMs = 30 * day;

function node() {
  return scalar({ what: 'host:port', parse: parseRedisNode, json: { type: 'string', 'x-type': 'host:port' } });
}

function sizeOrOff(bounds: Bounds) {
  return scalar<number | 'off'>({
    what: 'a size such as 2KiB, or off',
    parse: (written) => (written === 'off' ? ok('off') : parseSize(written, bounds)),
    json: {
      type: ['string', 'integer'],
      pattern: '^([0-9]+(B|KiB|MiB|GiB)?|off)$|\\$\\{',
      minimum: bounds.min,
      maximum: bounds.max,
      'x-type': `size, ${formatSize(bounds.min)} to ${formatSize(bounds.max)}, or \`off\``,
    },
  });
}

function prefixProblem(value: string): string | undefined {
  if (/^[A-Za-z0-9._:-]{1,64}$/.test(value)) return undefined;
  return `is 1 to 64 letters, digits, dots, underscores, colons and hyphens, given ${quoted(value)}`;
}

const tls = map({
  enabled: option(flag(), 'Whether connections are TLS. Default: `true` with `rediss://`, else `false`.'),
  caFile: option(
    text({ what: 'a path' }),
    'PEM file of the authorities to trust instead of the system’s; relative to this file. Like the others it is read at the start only.',
  ),
  certFile: option(text({ what: 'a path' }), 'PEM file of a client certificate, where the server asks for one.'),
  keyFile: option(text({ what: 'a path' }), 'PEM file of its key, without a passphrase.'),
  serverName: option(text({ what: 'a host name' }), 'Name that the certificate must have, where it is not the host’s.'),
});

const breaker = map({
  failures: option(
    numeric({ min: 1, max: 1000, whole: true }),
    'Reads in a row that fail or take longer than `timeout` before Redis is left alone.',
    '5',
  ),
  pause: option(
    duration({ min: 10, max: minute }),
    'For how long it is left alone; then a look of the proxy’s own, for which no request waits, says whether it is well. Doubles with each look that fails.',
    '1s',
  ),
  // Give or take a fifth: of use again within 2 s of its return, also where no connection was lost.
  maxPause: option(duration({ min: 10, max: 10 * minute }), 'The longest such pause.', '1500ms'),
});

const redisEntries = {
  url: option(
    secretText(),
    'A server: `redis://user:password@host:port/database`, `rediss://` for TLS. Where this, `sentinels` and `cluster` are left out or empty, `REDIS_URL` serves, else `REDIS_HOST` with `REDIS_PORT`, `REDIS_DB`; without any of them the proxy keeps to memory.',
    '',
  ),
  sentinels: option(listOf(node(), 20), 'Sentinels that name the master, instead of `url`.'),
  name: option(text({ what: 'a name' }), 'The master’s name to the Sentinels. Needed with `sentinels`.'),
  sentinelUsername: option(text({ what: 'a user name' }), 'User at the Sentinels, where they ask for one.'),
  sentinelPassword: option(secretText(), 'Password at the Sentinels, where they ask for one.', ''),
  cluster: option(listOf(node(), 100), 'Some nodes of a Redis Cluster, instead of `url`; the others are found.'),
  username: option(
    text({ what: 'a user name' }),
    'User (ACL). Default: that of the URL, else `REDIS_USERNAME`, which goes with `REDIS_PASSWORD` alone.',
  ),
  password: option(secretText(), 'Password. Empty: that of the URL, else `REDIS_PASSWORD`.', ''),
  database: option(
    numeric({ min: 0, max: maxDatabase, whole: true }),
    'Number of the database. Default: that of the URL, `REDIS_DB` beside `REDIS_HOST`, else `0`; a cluster has no other.',
  ),
  tls: option(tls, 'TLS to Redis, and to the Sentinels.', {}),
  keyPrefix: option(
    text({ what: 'a prefix', check: prefixProblem }),
    'First part of every key in Redis. Proxies with the same one on the same Redis are a fleet.',
    'forecache',
  ),
  timeout: option(
    duration({ min: 1, max: 10_000 }),
    'What a request may wait for Redis on its way, all its look-ups together.',
    '50ms',
  ),
  maxObjectBytes: option(
    size({ min: 1024, max: 256 * 2 ** 20 }),
    'Larger values, as they would be in Redis, are kept in memory only.',
    '1MiB',
  ),
  maxPendingBytes: option(
    size({ min: 65_536, max: 2 ** 30 }),
    'Bytes of values under way to Redis; what comes beyond is kept in memory only. At least `maxObjectBytes`.',
    '8MiB',
  ),
  compressAbove: option(
    sizeOrOff({ min: 64, max: 256 * 2 ** 20 }),
    'Bodies from this size on are compressed in Redis where that saves a fifth.',
    '2KiB',
  ),
  breaker: option(breaker, 'When Redis is left alone for a while because reads fail.', {}),
  coherence: option(
    choice(['strict', 'available']),
    'What goes first when Redis cannot be reached: that nothing purged is served (`strict`), or that what is in memory is (`available`: a long `lease`, and purges answer 202 where not every proxy has acknowledged within `purgeWait`).',
    'strict',
  ),
  lease: option(
    duration({ min: 200, max: hour }),
    'For how long a proxy serves from store after it last heard of the purge log, and so how long a purge may wait for one that is gone; with `strict` at most 60s. Default: `2s`, with `available` `5m`.',
  ),
  purgeWait: option(
    duration({ min: 10, max: minute }),
    'With `available`: for how long a purge waits for acknowledgements before it answers 202. With either: for how long the answer to an unsafe method is held back for what it makes invalid (RFC 9111 §4.4).',
    '2s',
  ),
  minReplicas: option(
    numeric({ min: 0, max: 10, whole: true }),
    'Replicas in step that the server of the purge log must have, and that must confirm each purge. Split brain is closed by more than half of all its servers: 1 with 2 replicas, 2 with 3 or 4; 0: not checked.',
    '0',
  ),
  purgeRetention: option(
    duration({ min: minute, max: longestPurgeRetentionMs }),
    'For how long purges are kept in the log. What was stored before the oldest of them is not served.',
    '24h',
  ),
  maxPurges: option(
    numeric({ min: 10, max: 10_000_000, whole: true }),
    'Purges in the log at most; the oldest go first.',
    '100000',
  ),
  maxScopes: option(
    numeric({ min: 1000, max: 10_000_000, whole: true }),
    'Scopes of purges that a proxy remembers at most, 100 to 300 bytes each. Past it the older half is forgotten, and what was stored before is not served.',
    '200000',
  ),
  fillLock: option(
    duration({ min: 50, max: minute }),
    'For how long other proxies wait for one that fetches and is not heard of.',
    '1s',
  ),
  jobLease: option(
    duration({ min: 500, max: 10 * minute }),
    'After how long another proxy takes over a warming job or scheduled purge of one that is not heard of.',
    '10s',
  ),
  countersEvery: option(
    duration({ min: 100, max: minute }),
    'How often the counters of the fleet are written; a proxy that is killed loses so much of its own at most.',
    '1s',
  ),
};

/** The shared tier: where it is, what may be put there, and how true purges are. */
export const redisSchema = map(redisEntries, 'secret');
