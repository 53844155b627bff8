import { describe, expect, test } from 'vitest';
import { configChecks } from '../../src/config-checks.ts';
import { issuesOf } from '../support/config-text.ts';

/** Values by their places, `server/listen`; a number is a place in a list. */
type Edits = Readonly<Record<string, unknown>>;

const sound: Edits = {
  'upstreams/api/origin': 'http://127.0.0.1:9',
  'routes/0': { name: 'one', match: '/one', upstream: 'api', ttl: '1h' },
};

/** The sound file with edits, in JSON, which is YAML. */
function fileWith(edits: Edits): string {
  const file: Record<string, unknown> = {};
  for (const [place, value] of Object.entries({ ...sound, ...edits })) put(file, place.split('/'), value);
  return JSON.stringify(file);
}

function put(holder: Record<string, unknown>, [step = '', next, ...rest]: readonly string[], value: unknown): void {
  if (next === undefined) holder[step] = structuredClone(value);
  else {
    holder[step] ??= /^\d+$/.test(next) ? [] : {};
    put(Object(holder[step]), [next, ...rest], value);
  }
}

/** Issues without line and column, which edits move. */
function told(edits: Edits): readonly string[] {
  return issuesOf(fileWith(edits), {}, configChecks).map((issue) => issue.replace(/^\d+:\d+: /, ''));
}

interface Section {
  /** What is there without being wrong. */
  readonly base?: Edits;
  /** Each is a fault by itself. */
  readonly faults: readonly Edits[];
  /** Places of which the second fault takes away what the first one was about. */
  readonly moot?: readonly (readonly [string, string])[];
}

const path = '/nowhere/no.pem';
const bad = '1GB';
const rule = 'routes/0/query';

const sections: Readonly<Record<string, Section>> = {
  admin: {
    faults: [
      { 'admin/listen': '0.0.0.0:1' },
      { 'admin/listen': '8080' },
      { 'admin/listen': '127.0.0.1:8080' },
      { 'admin/maxBodyBytes': bad },
      { 'admin/maxBodyBytes': '1B' },
      { 'admin/token': 'a b' },
      { 'admin/xyzzy': 'x' },
      { 'server/listen': '8080' },
      { 'server/limits': [] },
      { log: 'x' },
    ],
    moot: [
      ['admin/listen=0.0.0.0:1', 'admin/token'],
      ['admin/listen=127.0.0.1:8080', 'server/listen'],
    ],
  },
  server: {
    base: { 'server/listeners/b/listen': '127.0.0.1:81', 'store/redis/url': 'redis://x' },
    faults: [
      { 'server/listen': '8080' },
      { 'server/listen': '127.0.0.1:81' },
      { 'server/listeners/default/listen': '127.0.0.1:82' },
      { 'server/listeners/c d/listen': '127.0.0.1:83' },
      { 'server/listeners/e/listen': '127.0.0.1:81' },
      { 'server/listeners/f': {} },
      { 'server/listeners/b/lsten': 'x' },
      { 'server/workers': '65' },
      { 'server/workers': '-1' },
      { 'server/limits/maxBodyBytes': bad },
      { 'server/limits/maxConnections': 'x' },
      { 'server/timeouts': 'x' },
      { 'server/drainDelay': '9' },
      { 'server/fastLane': 'yes' },
      { 'store/memory/maxBytes': bad },
      { 'store/redis/timeout': '1' },
      { 'routes/0/maxKeys': 'x' },
      { 'upstreams/api/timeout': '1' },
    ],
  },
  store: {
    base: { 'store/redis/url': 'redis://u:p@x/1' },
    faults: [
      { 'store/memory/maxBytes': bad },
      { 'store/memory/maxByte': '1MiB' },
      { 'store/redis/url': 'http://x' },
      { 'store/redis/url': ['x'] },
      { 'store/redis/sentinels': ['a:1'] },
      { 'store/redis/sentinels': ['a'] },
      { 'store/redis/cluster': ['a:1'] },
      { 'store/redis/name': 'x' },
      { 'store/redis/sentinelUsername': 'x' },
      { 'store/redis/sentinelPassword': 'x' },
      { 'store/redis/username': 'x' },
      { 'store/redis/password': 'x' },
      { 'store/redis/database': '1' },
      { 'store/redis/database': 'x' },
      { 'store/redis/tls/enabled': 'yes' },
      { 'store/redis/tls/certFile': path },
      { 'store/redis/tls/caFile': path },
      { 'store/redis/tls/serverName': '' },
      { 'store/redis/lease': '2m' },
      { 'store/redis/coherence': 'x' },
      { 'store/redis/breaker/pause': '30s' },
      { 'store/redis/breaker/failures': 'x' },
      { 'store/redis/maxPendingBytes': '64KiB' },
      { 'store/redis/maxObjectBytes': '256MiB' },
      { 'store/redis/compressAbove': 'x' },
      { 'store/redis/fillLok': '1s' },
    ],
    moot: [
      // What may not be in the URL too, and what a URL says of TLS, only a URL says that can be read.
      ['store/redis/username', 'store/redis/url'],
      ['store/redis/password', 'store/redis/url'],
      ['store/redis/database', 'store/redis/url'],
      ['store/redis/tls/', 'store/redis/url'],
      // Nothing can be said of what does nothing where it is not known whether there is TLS.
      ['store/redis/tls/', 'store/redis/tls/enabled'],
      ['store/redis/name', 'store/redis/sentinels'],
      ['store/redis/sentinel', 'store/redis/sentinels'],
      ['store/redis/sentinelUsername', 'store/redis/sentinelPassword'],
      ['store/redis/lease', 'store/redis/coherence'],
    ],
  },
  'store with TLS': {
    base: { 'store/redis/url': 'rediss://x' },
    faults: [
      { 'store/redis/tls/enabled': 'false' },
      { 'store/redis/tls/caFile': path },
      { 'store/redis/tls/certFile': [] },
      { 'store/redis/tls/serverName': '' },
      { 'store/redis/database': 'x' },
      { 'store/redis/username': 'x' },
      { 'store/redis/cluster': ['a:1'] },
    ],
  },
  'store with Sentinels': {
    base: { 'store/redis/sentinels': ['a:1'], 'store/redis/name': 'x' },
    faults: [
      { 'store/redis/tls/caFile': path },
      { 'store/redis/tls/enabled': 'x' },
      { 'store/redis/sentinelUsername': 'x' },
      { 'store/redis/database': 'x' },
      { 'store/redis/username': 'x' },
      { 'store/redis/cluster': ['a'] },
    ],
    moot: [['store/redis/tls/caFile', 'store/redis/tls/enabled']],
  },
  upstreams: {
    base: { 'upstreams/api/credentials/headers': { 'x-a': 'b', 'x-c': 'd' } },
    faults: [
      { 'upstreams/api/origin': 'x' },
      { 'upstreams/api/timeout': '1' },
      { 'upstreams/api/credentials/headers/x-b': 'a ' },
      { 'upstreams/api/credentials/headers/X-C': 'a' },
      { 'upstreams/api/credentials/headers/host': 'a' },
      { 'upstreams/api/credentials/query': [] },
      { 'upstreams/api/credentials/xyzzy': 'x' },
      { 'upstreams/api/fields/X-A': 'a' },
      { 'upstreams/api/fields/x-d': 'ü' },
      { 'upstreams/api/fields/x-e': [] },
      { 'upstreams/api/caFile': path },
      { 'upstreams/api/framing': 'x' },
      { 'upstreams/other': {} },
      { 'upstreams/a b/origin': 'http://x' },
      { 'routes/0/softTimeout': '1m', 'routes/0/staleIfError': '1h' },
      { 'routes/0/headers': ['x-a'] },
    ],
    moot: [['routes/0/softTimeout', 'upstreams/api/timeout']],
  },
  routes: {
    base: {
      'routes/0/query': { q: { type: 'text' } },
      'routes/1': { name: 'two', match: '/two/:x', upstream: 'api', ttl: '1h' },
      'upstreams/api/credentials/query': { apikey: 'x' },
      'upstreams/api/credentials/headers': { 'x-key': 'x' },
    },
    faults: [
      { 'routes/0/name': 'two' },
      { 'routes/0/name': 'a b' },
      { 'routes/0/match': '/two/:y' },
      { 'routes/0/match': 'x' },
      { 'routes/0/upstream': 'apo' },
      { 'routes/0/upstream': [] },
      { 'routes/0/listener': 'none' },
      { 'routes/0/host': 'a:80' },
      { 'routes/0/forward': '/x/{y' },
      { 'routes/0/forward': 'x' },
      { 'routes/0/ttl': 'x' },
      { 'routes/0/statusTtl/206': '1h' },
      { 'routes/0/cache': 'x' },
      { 'routes/0/staleIfError': 'x' },
      { 'routes/0/softTimeout': '1s' },
      { 'routes/0/expireAt': {} },
      { 'routes/0/storeIf': { json: 'false' } },
      { 'routes/0/storeIf': { absent: ['x', ''] } },
      { 'routes/0/clientCacheControl': 'x' },
      { 'routes/0/forwardHeaders': ['accept'] },
      { 'routes/0/forwardHeaders': ['range'] },
      { 'routes/0/heuristicMax': '1h' },
      { 'routes/0/storeErrors': 'x' },
      { 'routes/0/headers': ['x-key', 'range'] },
      { 'routes/0/ignore': 'q' },
      { 'routes/0/secret': ['Q'] },
      { 'routes/0/pathParams/x': { type: 'text' } },
      { 'routes/0/query/apikey': { type: 'text' } },
      { 'routes/0/query/r': { type: 'x' } },
      { 'routes/0/query/s': { type: 'integer', min: '2', max: '1', xyzzy: 'x' } },
      { 'routes/0/query/t': { type: 'text', alias: ['q', ''] } },
      { 'routes/0/query/u': 'x' },
      { 'routes/0/content': { methods: 'POST', maxBytes: bad } },
      { 'routes/0/content': { methods: 'PUT' } },
      { 'routes/0/noVarySearch': 'true' },
      { 'routes/0/tags': ['{z}', ''] },
      { 'routes/0/maxStoredBytes': '1GiB' },
      { 'routes/0/maxKeys': '0' },
      { 'routes/0/xyzzy': 'x' },
      { 'routes/2': {} },
      { 'routes/2': { name: 'three', match: '/two/:z', upstream: 'api', ttl: '1h' } },
      { 'server/limits/maxBodyBytes': 'x' },
      { 'store/memory/maxBytes': 'x' },
      { 'upstreams/api/timeout': 'x' },
    ],
    moot: [
      ['routes/0/softTimeout', 'routes/0/staleIfError'],
      ['routes/0/pathParams', 'routes/0/match'],
      ['routes/0/forward=/', 'routes/0/match'],
      ['routes/0/tags', 'routes/0/match=x'],
      // Two routes for one path, which is told of the later ones, are of the same host and listener.
      ['routes/0/match', 'routes/0/host'],
      ['routes/0/match', 'routes/0/listener'],
      ['routes/0/noVarySearch', 'routes/0/query'],
      ['routes/0/query/apikey', 'routes/0/upstream'],
      ['routes/0/headers', 'routes/0/upstream'],
      ['routes/0/maxStoredBytes', 'store/memory'],
    ],
  },
  'routes on honour': {
    base: { 'routes/0/upstreamCacheControl': 'honour' },
    faults: [
      { 'routes/0/clientCacheControl': 'ignore' },
      { 'routes/0/expireAt': { every: '1h', jitter: '1h', zone: 'UTC' } },
      { 'routes/0/softTimeout': '1s' },
      { 'routes/0/forwardHeaders': ['range'] },
      { 'routes/0/heuristicFraction': '2' },
      { 'routes/0/ttl': 'x' },
    ],
  },
  expireAt: {
    base: { 'routes/0/expireAt/every': '10m' },
    faults: [
      { 'routes/0/expireAt/every': 'x' },
      { 'routes/0/expireAt/daily': '00:00' },
      { 'routes/0/expireAt/daily': '24:00' },
      { 'routes/0/expireAt/offset': '20m' },
      { 'routes/0/expireAt/jitter': '20m' },
      { 'routes/0/expireAt/zone': 'UTC' },
      { 'routes/0/expireAt/fallbackZone': 'x' },
      { 'routes/0/expireAt/xyzzy': 'x' },
    ],
    moot: [
      ['routes/0/expireAt/offset', 'routes/0/expireAt/every'],
      ['routes/0/expireAt/jitter', 'routes/0/expireAt/every'],
      ['routes/0/expireAt/zone', 'routes/0/expireAt/daily'],
      ['routes/0/expireAt/fallbackZone', 'routes/0/expireAt/daily'],
    ],
  },
  'daily expireAt': {
    base: { 'routes/0/expireAt/daily': '00:00' },
    faults: [
      { 'routes/0/expireAt/daily': 'x' },
      { 'routes/0/expireAt/offset': '20m' },
      { 'routes/0/expireAt/jitter': '20h' },
      { 'routes/0/expireAt/zone': 'Nope/X' },
      { 'routes/0/expireAt/zone': '{x' },
      { 'routes/0/expireAt/fallbackZone': 'Nope/X' },
    ],
    moot: [['routes/0/expireAt/fallbackZone', 'routes/0/expireAt/zone={x']],
  },
  'rules of parameters': {
    base: {
      [`${rule}/i`]: { type: 'integer', min: '5' },
      [`${rule}/d`]: { type: 'decimal', min: '0.01', max: '0.04' },
      [`${rule}/e`]: { type: 'enum', values: ['A', 'b'] },
      [`${rule}/t`]: { type: 'datetime', floor: '1h' },
      [`${rule}/p`]: { type: 'point' },
      [`${rule}/b`]: { type: 'boolean' },
    },
    faults: [
      { [`${rule}/i/max`]: '1' },
      { [`${rule}/i/default`]: 'x' },
      { [`${rule}/i/required`]: 'x' },
      { [`${rule}/i/alias`]: ['d', ''] },
      { [`${rule}/d/places`]: '1' },
      { [`${rule}/d/places`]: '99' },
      { [`${rule}/d/min`]: '1' },
      { [`${rule}/d/default`]: 'x' },
      { [`${rule}/d/secret`]: 'x' },
      { [`${rule}/e/values`]: ['A', 'b', 'A', []] },
      { [`${rule}/e/default`]: 'c' },
      { [`${rule}/e/fold`]: 'x' },
      { [`${rule}/t/ceil`]: '1h' },
      { [`${rule}/t/ceil`]: 'x' },
      { [`${rule}/t/default`]: 'x' },
      { [`${rule}/p/lat`]: { min: '91' } },
      { [`${rule}/p/lat`]: [] },
      { [`${rule}/p/lon`]: { min: '0', max: 'x' } },
      { [`${rule}/p/places`]: 'x' },
      { [`${rule}/p/default`]: '1' },
      { [`${rule}/b/as`]: ['x', 'x'] },
      { [`${rule}/b/as`]: ['x'] },
      { [`${rule}/b/default`]: 'maybe' },
      { [`${rule}/b/xyzzy`]: 'x' },
    ],
    moot: [
      [`${rule}/d/places`, `${rule}/d/min`],
      [`${rule}/e/default`, `${rule}/e/`],
      [`${rule}/b/default`, `${rule}/b/as`],
      // The words say which bounds there are, and a secret default is not shown.
      [`${rule}/i/default`, `${rule}/i/max`],
      [`${rule}/d/default`, `${rule}/d/`],
    ],
  },
  warm: {
    base: {
      'routes/0/query': { q: { type: 'integer' } },
      'routes/0/unknownQuery': 'drop',
      'warm/jobs/0': { name: 'a', route: 'one', every: '1h' },
      'warm/jobs/1': { route: 'one', every: '1h' },
    },
    faults: [
      { 'warm/locations': [] },
      { 'warm/concurrency': '0' },
      { 'warm/reuseAbove': 'x' },
      { 'warm/jobs/0/with/q': 'x' },
      { 'warm/jobs/0/with/q': '{location}' },
      { 'warm/jobs/0/with/r': 'x' },
      { 'warm/jobs/0/every': 'x' },
      { 'warm/jobs/0/jitter': 'x' },
      { 'warm/jobs/0/zone': 'Nope/X' },
      { 'warm/jobs/0/xyzzy': 'x' },
      { 'warm/jobs/1/name': 'a' },
      { 'warm/jobs/1/route': 'two' },
      { 'warm/jobs/1/with': [] },
      { 'warm/jobs/2': {} },
    ],
    moot: [
      // A request is made of all of them together.
      ['warm/jobs/0/with/q=x', 'warm/jobs/0/with/r'],
      ['warm/jobs/0/with/q=x', 'warm/jobs/0/zone'],
      ['warm/jobs/0/with/q=x', 'warm/locations'],
      ['warm/jobs/0/with/q={', 'warm/locations'],
    ],
  },
  purge: {
    base: { 'purge/schedule/0': { cron: '0 0 * * *' }, 'purge/schedule/0/url': '/one' },
    faults: [
      { 'purge/schedule/0/cron': 'bad' },
      { 'purge/schedule/0/zone': 'Nope/X' },
      { 'purge/schedule/0/route': 'two' },
      { 'purge/schedule/0/prefix': 'x' },
      { 'purge/schedule/0/tags': ['a', ''] },
      { 'purge/schedule/0/url': 'x' },
      { 'purge/schedule/0/url': '/two' },
      { 'purge/schedule/0/all': 'false' },
      { 'purge/schedule/0/soft': 'x' },
      { 'purge/schedule/0/xyzzy': 'x' },
      { 'purge/schedule/1': {} },
      { 'purge/xyzzy': 'x' },
    ],
  },
};

/** `admin/listen=8080`, which {@link Section.moot} names the beginning of. */
function nameOf(fault: Edits): string {
  return Object.entries(fault)
    .map(([place, value]) => `${place}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join(' ');
}

function isOfOnePlace(one: Edits, other: Edits): boolean {
  const places = Object.keys(other);
  return Object.keys(one).some((place) =>
    places.some((second) => `${place}/`.startsWith(`${second}/`) || `${second}/`.startsWith(`${place}/`)),
  );
}

/** What else there is, and so what an issue names beside its own place, is another thing with two faults. */
function apart(issue: string): string {
  return issue
    .replace(/(needs exactly one of .*); given .*/, '$1')
    .replace(/(is already taken by|that of route) .*/, '$1')
    .replace(/(by the credentials of) .*?\)/, '$1)')
    .replace(/; valid: .*/, '');
}

describe.each(Object.entries(sections))('of two faults of %s', (_name, { base = {}, faults, moot = [] }) => {
  const isMoot = (one: string, other: string): boolean =>
    moot.some(
      ([first, second]) =>
        (one.startsWith(first) && other.startsWith(second)) || (other.startsWith(first) && one.startsWith(second)),
    );

  test('each is one by itself', () => {
    expect(told(base)).toEqual([]);
    for (const fault of faults)
      expect([nameOf(fault), told({ ...base, ...fault }).length > 0]).toEqual([nameOf(fault), true]);
  });

  test('both are told', () => {
    const hidden: string[] = [];
    // Once for each, and not for each pair, of which there are a thousand: a busy machine took longer than a test may.
    const alone = faults.map((fault) => told({ ...base, ...fault }).map(apart));
    for (const [index, one] of faults.entries()) {
      for (const [at, other] of faults.entries()) {
        if (at <= index || isOfOnePlace(one, other) || isMoot(nameOf(one), nameOf(other))) continue;
        const both = told({ ...base, ...one, ...other }).map(apart);
        const each = [...(alone[index] ?? []), ...(alone[at] ?? [])];
        for (const issue of each.filter((single) => !both.includes(single))) {
          hidden.push(`${nameOf(one)} with ${nameOf(other)} hides ${issue}`);
        }
      }
    }
    expect(hidden).toEqual([]);
  });
});
