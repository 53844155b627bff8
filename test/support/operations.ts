import { createHash } from 'node:crypto';

import { BackgroundWork } from '../../src/cache/background.ts';
import type { PurgeRecord, WarmRecord } from '../../src/cache/ports.ts';
import { deriveKey } from '../../src/core/key.ts';
import type { ParamKind, ParamRule } from '../../src/core/params.ts';
import type { KeyedRequest } from '../../src/core/request.ts';
import { buildRouteTable, matchRoute, type RouteTable } from '../../src/core/route-table.ts';
import type { Route } from '../../src/core/route.ts';
import { scopesOf, type StoredResponse } from '../../src/core/stored-response.ts';
import { createLocalPurgeLog } from '../../src/store/local-purge-log.ts';
import { createMemoryStore } from '../../src/store/memory-store.ts';
import { FakeClock } from './clock.ts';
import { freshnessWith, HOUR, routeOf, storedOf } from './policy.ts';

export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

export function param(name: string, kind: ParamKind, rest: Partial<ParamRule> = {}): readonly [string, ParamRule] {
  const rule = { name, kind, required: false, default: undefined, aliases: [], repeat: false, secret: false, ...rest };
  return [name, rule];
}

const text: ParamKind = { type: 'text', fold: true };

/** Routes in the shape of the contract's: folded location, defaults, dropped strays; one by path, one by host, one relayed. */
export const someRoutes: readonly Route[] = [
  routeOf(
    {},
    {
      name: 'weather-forecast',
      match: '/weather/forecast',
      forward: '/v1/forecast',
      params: new Map([
        param('location', text, { required: true, aliases: ['city'] }),
        param('days', { type: 'integer', min: 1, max: 16 }, { default: '7' }),
        param('token', { type: 'text', fold: false }, { secret: true }),
      ]),
      unknownQuery: 'drop',
      secret: ['apikey'],
      tags: ['location:{location}'],
    },
  ),
  routeOf(
    {},
    {
      name: 'event-search',
      match: '/events/search',
      upstream: 'events',
      params: new Map([param('location', text, { required: true }), param('start', { type: 'date' })]),
      tags: ['location:{location}'],
    },
  ),
  routeOf({}, { name: 'by-path', match: '/places/:place/:day?', pathParams: new Map([param('place', text)]) }),
  routeOf({}, { name: 'files', match: '/files/*', forward: '/f/{0}' }),
  routeOf({}, { name: 'by-host', match: '/v1/news', host: 'news.test', headers: ['accept-language'] }),
  routeOf({}, { name: 'by-listener', match: '/v1/tides', listener: 'tides' }),
  routeOf({}, { name: 'relay', match: '/live/*', cache: 'off' }),
];

export function tableOf(routes: readonly Route[] = someRoutes): RouteTable {
  const table = buildRouteTable(routes);
  if (!table.ok) throw new Error(JSON.stringify(table.error));
  return table.value;
}

/** What a client's request for this path and query is keyed as. */
export function keyedOf(
  table: RouteTable,
  url: string,
  place: { readonly host?: string; readonly listener?: string } = {},
): KeyedRequest {
  const [path = '', query] = url.split('?');
  const { host = 'localhost', listener = 'default' } = place;
  const match = matchRoute(table, { path, host, listener });
  if (match === undefined) throw new Error(`no route for ${url}`);
  const keyed = deriveKey(match, { path, query, host, fields: [] }, sha256);
  if (!keyed.ok) throw new Error(keyed.error.detail);
  return keyed.value;
}

/** A memory store with its purge log on a clock that stands still, filled as clients' requests would. */
export class StoreSetUp implements Disposable {
  readonly clock = new FakeClock();
  readonly table: RouteTable;
  readonly purgeLog = createLocalPurgeLog({ clock: this.clock, instanceId: 'one', searching: true });
  readonly store = createMemoryStore({
    maxBytes: 10_000_000,
    routeLimits: new Map(),
    purgeLog: this.purgeLog,
    clock: this.clock,
  });
  readonly purges: PurgeRecord[] = [];

  constructor(routes: readonly Route[] = someRoutes) {
    this.table = tableOf(routes);
  }

  put(url: string, rest: Partial<StoredResponse> = {}, place: Parameters<typeof keyedOf>[2] = {}): KeyedRequest {
    const keyed = keyedOf(this.table, url, place);
    const nowMs = this.clock.nowMs();
    const freshness = freshnessWith({
      freshUntilMs: nowMs + HOUR,
      swrUntilMs: nowMs + HOUR,
      sieUntilMs: nowMs + HOUR,
      retainUntilMs: nowMs + 24 * HOUR,
    });
    const { key, tags } = keyed;
    const [, route = ''] = scopesOf({ key, url: keyed.url, tags, route: key.split('|')[0] ?? '' });
    const item = storedOf({
      key: keyed.key,
      route: route.slice(2),
      upstream: keyed.canonical.upstream,
      url: keyed.url,
      tags: keyed.tags,
      position: this.purgeLog.position(),
      requestTimeMs: nowMs,
      responseTimeMs: nowMs,
      freshness,
      ...rest,
    });
    this.store.put(item);
    return keyed;
  }

  /** True where a client's request would find something that is not purged. */
  has(url: string, place: Parameters<typeof keyedOf>[2] = {}): boolean {
    return this.store.peek(keyedOf(this.table, url, place).key) !== undefined;
  }

  [Symbol.dispose](): void {
    this.store[Symbol.dispose]();
  }
}

/** Background work whose errors fail the test that waits for it. */
export class TestBackground extends BackgroundWork {
  readonly errors: unknown[];

  constructor() {
    const errors: unknown[] = [];
    super((_name, error) => errors.push(error));
    this.errors = errors;
  }
}

/** Collects what warming tells. */
export function warmRecords(): { readonly records: WarmRecord[]; readonly warm: (record: WarmRecord) => void } {
  const records: WarmRecord[] = [];
  return { records, warm: (record) => void records.push(record) };
}
