import { describe, expect, onTestFinished, test } from 'vitest';

import type { FleetEvent } from '../../src/cache/fleet-ports.ts';
import type { PurgeAnswer } from '../../src/cache/operations.ts';
import type { PurgeLog, PurgeReceipt } from '../../src/cache/ports.ts';
import { createPurger, type Purger } from '../../src/cache/purge.ts';
import type { PurgeSelector } from '../../src/core/config.ts';
import { ok, refused, type Result } from '../../src/core/problem.ts';
import { StoreSetUp, sha256 } from '../support/operations.ts';
import { honourRoute, routeOf } from '../support/policy.ts';

function setUp(prepared = new StoreSetUp()): { readonly at: StoreSetUp; readonly purger: Purger } {
  onTestFinished(() => prepared[Symbol.dispose]());
  const { table, purgeLog, store, clock, purges } = prepared;
  const observer = { purge: (record: (typeof purges)[number]) => void purges.push(record), fleet: () => undefined };
  return { at: prepared, purger: createPurger({ table, purgeLog, counter: store, observer, clock, sha256 }) };
}

async function purged(
  purger: Purger,
  selector: PurgeSelector,
  how: { readonly soft?: boolean; readonly dryRun?: boolean } = {},
): Promise<PurgeAnswer> {
  const answer = await purger.purge({ selector, soft: false, dryRun: false, source: 'api', ...how });
  if (!answer.ok) throw new Error(answer.error.detail);
  return answer.value;
}

async function refusal(purger: Purger, selector: PurgeSelector): Promise<object> {
  const answer = await purger.purge({ selector, soft: false, dryRun: false, source: 'api' });
  if (answer.ok) throw new Error('it was not refused');
  const { status, code, detail } = answer.error;
  return { status, code, detail };
}

/** The log of a fleet, so far as a purger sees it. */
function answering({ purgeLog }: StoreSetUp, answer: Result<PurgeReceipt>): PurgeLog {
  return {
    position: () => purgeLog.position(),
    isValid: (item) => purgeLog.isValid(item),
    softPurgedAtMs: (item) => purgeLog.softPurgedAtMs(item),
    append: () => Promise.resolve(answer),
  };
}

function fill(at: StoreSetUp): void {
  at.put('/weather/forecast?location=lima');
  at.put('/weather/forecast?location=lima&days=3');
  at.put('/weather/forecast?location=lima+sur');
  at.put('/events/search?location=lima');
  at.put('/events/search?location=berlin');
}

describe('what a selector covers', () => {
  test('a prefix of all paths covers what a route makes one response of', async () => {
    const { at, purger } = setUp(new StoreSetUp([routeOf({}, { name: 'one', match: '/:rest*', forward: '/v1' })]));
    at.put('/a/b');
    expect(await purged(purger, { by: 'prefix', prefix: '/' })).toMatchObject({ matched: 1 });
    expect(at.has('/c')).toBe(false);
  });

  test.each<[string, PurgeSelector, number, readonly string[]]>([
    ['a tag', { by: 'tags', tags: ['location:lima'] }, 3, ['lima sur', 'berlin events']],
    ['any of several tags', { by: 'tags', tags: ['location:lima', 'location:berlin'] }, 4, ['lima sur']],
    ['a route', { by: 'route', route: 'weather-forecast' }, 3, ['lima events', 'berlin events']],
    ['a prefix', { by: 'prefix', prefix: '/events/' }, 2, ['lima', 'lima 3', 'lima sur']],
    ['everything', { by: 'all' }, 5, []],
    [
      'a tag of nothing',
      { by: 'tags', tags: ['location:lim'] },
      0,
      ['lima', 'lima 3', 'lima sur', 'lima events', 'berlin events'],
    ],
    [
      'an alias’ spelling as URL',
      { by: 'url', url: '/weather/forecast?city=LIMA&apikey=x' },
      1,
      ['lima 3', 'lima sur', 'lima events', 'berlin events'],
    ],
  ])('%s', async (_what, selector, matched, left) => {
    const { at, purger } = setUp();
    fill(at);
    expect((await purged(purger, selector, { dryRun: true })).matched).toBe(matched);
    expect((await purged(purger, selector)).matched).toBe(matched);
    const urls = new Map([
      ['lima', '/weather/forecast?location=lima'],
      ['lima 3', '/weather/forecast?location=lima&days=3'],
      ['lima sur', '/weather/forecast?location=lima%20sur'],
      ['lima events', '/events/search?location=lima'],
      ['berlin events', '/events/search?location=berlin'],
    ]);
    expect([...urls].filter(([, url]) => at.has(url)).map(([name]) => name)).toEqual(left);
    expect((await purged(purger, selector)).matched).toBe(0);
  });

  test('a key', async () => {
    const { at, purger } = setUp();
    fill(at);
    const { key } = at.put('/weather/forecast?location=cusco');
    expect((await purged(purger, { by: 'key', key })).matched).toBe(1);
    expect(at.has('/weather/forecast?location=cusco')).toBe(false);
    expect(at.has('/weather/forecast?location=lima')).toBe(true);
  });

  test('a URL covers what differs by request fields, on whatever host its routes are bound to', async () => {
    const { at, purger } = setUp();
    const { url, key } = at.put('/v1/news', {}, { host: 'news.test' });
    at.put('/v1/news', { key: `${key}|accept-language=de` }, { host: 'news.test' });
    expect(url).toBe('//news.test/v1/news');
    expect((await purged(purger, { by: 'url', url: '/v1/news' })).matched).toBe(2);
    at.put('/v1/news', {}, { host: 'news.test' });
    expect((await purged(purger, { by: 'url', url: 'http://NEWS.test/v1/news' })).matched).toBe(1);
  });

  test('a URL finds the route that is bound to a listener', async () => {
    const { at, purger } = setUp();
    at.put('/v1/tides', {}, { listener: 'tides' });
    expect((await purged(purger, { by: 'url', url: '/v1/tides' })).matched).toBe(1);
  });

  test('a URL covers all variants of a response that varies', async () => {
    const { at, purger } = setUp(
      new StoreSetUp([honourRoute({}, { name: 'honoured', match: '/honour/*', rawQuery: true })]),
    );
    const keyed = at.put('/honour/a?x=1');
    at.store.put({
      kind: 'vary',
      key: keyed.key,
      route: 'honoured',
      upstream: 'weather',
      url: keyed.url,
      tags: keyed.tags,
      position: at.purgeLog.position(),
      names: ['accept-language'],
      retainUntilMs: at.clock.nowMs() + 3_600_000,
    });
    at.put('/honour/a?x=1', { key: `${keyed.key}|v=de` });
    at.put('/honour/a?x=1', { key: `${keyed.key}|v=en` });
    expect((await purged(purger, { by: 'url', url: '/honour/a?x=1' })).matched).toBe(2);
    expect([keyed.key, `${keyed.key}|v=de`, `${keyed.key}|v=en`].map((key) => at.store.peek(key))).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });
});

describe('how it is purged', () => {
  test('a dry run changes nothing, and nobody is told of a purge', async () => {
    const { at, purger } = setUp();
    fill(at);
    const before = at.purgeLog.position();
    const answer = await purged(purger, { by: 'all' }, { dryRun: true, soft: true });
    expect(answer).toEqual({
      id: 'dry-run',
      complete: true,
      sidecars: [],
      missing: [],
      matched: 5,
      dryRun: true,
      soft: true,
    });
    expect(at.purgeLog.position()).toEqual(before);
    expect(at.purges).toEqual([]);
    expect(at.has('/events/search?location=lima')).toBe(true);
  });

  test('a soft purge leaves responses in store, stale from now on', async () => {
    const { at, purger } = setUp();
    const { key } = at.put('/events/search?location=lima');
    at.clock.advance(5000);
    expect((await purged(purger, { by: 'tags', tags: ['location:lima'] }, { soft: true })).matched).toBe(1);
    expect(at.store.peek(key)?.staleSinceMs).toBe(at.clock.nowMs());
  });

  test('the answer is the log’s receipt, and it is counted once', async () => {
    const { at, purger } = setUp();
    fill(at);
    const answer = await purged(purger, { by: 'route', route: 'event-search' });
    expect(answer).toEqual({
      id: 'one-1',
      complete: true,
      sidecars: [{ id: 'one', appliedMs: 0 }],
      missing: [],
      matched: 2,
      dryRun: false,
      soft: false,
    });
    expect(at.purges).toEqual([
      {
        id: 'one-1',
        by: 'route',
        what: 'event-search',
        soft: false,
        matched: 2,
        durationMs: 0,
        source: 'api',
        complete: true,
        missing: [],
      },
    ]);
  });

  test('one that cannot be guaranteed is refused as the log says, and told of as no purge', async () => {
    const at = new StoreSetUp();
    onTestFinished(() => at[Symbol.dispose]());
    const problem = { status: 503, code: 'purge-unsure', title: 't', detail: 'd', retryAfter: 1 };
    const events: FleetEvent[] = [];
    const purger = createPurger({
      table: at.table,
      clock: at.clock,
      purgeLog: answering(at, refused(problem)),
      counter: at.store,
      observer: { purge: (record) => void at.purges.push(record), fleet: (event) => void events.push(event) },
      sha256,
    });
    const answer = await purger.purge({ selector: { by: 'all' }, soft: false, dryRun: false, source: 'method' });
    expect(answer).toEqual({ ok: false, error: problem });
    expect(at.purges).toEqual([]);
    expect(events).toEqual([{ kind: 'purge-refused', code: 'purge-unsure', source: 'method' }]);
  });

  test('the record says who is missing where it is not complete', async () => {
    const at = new StoreSetUp();
    onTestFinished(() => at[Symbol.dispose]());
    const receipt = {
      id: 'x',
      complete: false,
      sidecars: [],
      missing: ['two'],
      completeBy: '2026-11-23T12:05:00.000Z',
    };
    const purger = createPurger({
      table: at.table,
      clock: at.clock,
      purgeLog: answering(at, ok(receipt)),
      counter: at.store,
      observer: { purge: (record) => void at.purges.push(record), fleet: () => undefined },
      sha256,
    });
    expect(await purged(purger, { by: 'all' })).toEqual({ ...receipt, matched: 0, dryRun: false, soft: false });
    expect(at.purges).toMatchObject([{ complete: false, missing: ['two'] }]);
  });

  test('a response whose fetch began before the purge cannot come back after it', async () => {
    const { at, purger } = setUp();
    const position = at.purgeLog.position();
    await purged(purger, { by: 'tags', tags: ['location:lima'] });
    at.put('/events/search?location=lima', { position });
    expect(at.has('/events/search?location=lima')).toBe(false);
    at.put('/events/search?location=lima');
    expect(at.has('/events/search?location=lima')).toBe(true);
  });

  test('purges of the same responses at once do not count them twice', async () => {
    const { at, purger } = setUp();
    fill(at);
    const selectors: readonly PurgeSelector[] = [
      { by: 'tags', tags: ['location:lima'] },
      { by: 'tags', tags: ['location:lima'] },
      { by: 'prefix', prefix: '/weather/' },
      { by: 'all' },
    ];
    const answers = await Promise.all(selectors.map((selector) => purged(purger, selector)));
    expect(answers.map((answer) => answer.matched)).toEqual([3, 0, 1, 1]);
  });
});

describe('what is refused, with nothing purged', () => {
  test.each<[string, PurgeSelector, object]>([
    [
      'an unknown route, naming the nearest',
      { by: 'route', route: 'wether-forecast' },
      {
        status: 400,
        code: 'route-unknown',
        detail: 'There is no route "wether-forecast"; did you mean "weather-forecast"?',
      },
    ],
    [
      'an unknown route like no other',
      { by: 'route', route: 'zzz\u001b[31m' },
      { status: 400, code: 'route-unknown', detail: 'There is no route "zzz?[31m"' },
    ],
    [
      'a URL of no route',
      { by: 'url', url: '/nowhere' },
      { status: 400, code: 'url-not-routed', detail: expect.any(String) },
    ],
    [
      'a URL that is not cached',
      { by: 'url', url: '/live/x' },
      { status: 400, code: 'url-not-cached', detail: expect.stringContaining('relay') },
    ],
    [
      'a URL without a required parameter',
      { by: 'url', url: '/events/search' },
      { status: 400, code: 'parameter-missing', detail: expect.any(String) },
    ],
    [
      'a URL that leaves its path',
      { by: 'url', url: '/weather/../events/search' },
      { status: 400, code: 'target-invalid', detail: expect.any(String) },
    ],
    ['no URL', { by: 'url', url: 'weather' }, { status: 400, code: 'target-invalid', detail: expect.any(String) }],
    [
      'an empty prefix',
      { by: 'prefix', prefix: '' },
      { status: 400, code: 'selector-invalid', detail: expect.any(String) },
    ],
    ['no tags', { by: 'tags', tags: [] }, { status: 400, code: 'selector-invalid', detail: expect.any(String) }],
  ])('%s', async (_what, selector, expected) => {
    const { at, purger } = setUp();
    fill(at);
    expect(await refusal(purger, selector)).toEqual(expected);
    expect(at.store.stats().responses).toBe(5);
    expect(at.purges).toEqual([]);
  });
});

describe('the record of a purge', () => {
  test.each<[string, PurgeSelector, string]>([
    ['its tags', { by: 'tags', tags: ['location:lima', 'location:berlin'] }, 'location:lima location:berlin'],
    ['its route', { by: 'route', route: 'weather-forecast' }, 'weather-forecast'],
    ['its prefix', { by: 'prefix', prefix: '/events/search?loc' }, '/events/search?loc'],
    [
      'the canonical URL',
      { by: 'url', url: '/weather/forecast?city=LIMA&apikey=s3' },
      '/weather/forecast?days=7&location=lima',
    ],
    ['everything', { by: 'all' }, 'all'],
  ])('names %s', async (_what, selector, what) => {
    const { at, purger } = setUp();
    fill(at);
    await purged(purger, selector);
    expect(at.purges.map((record) => record.what)).toEqual([what]);
  });

  test('names its key', async () => {
    const { at, purger } = setUp();
    const { key } = at.put('/weather/forecast?location=cusco');
    await purged(purger, { by: 'key', key });
    expect(at.purges.map((record) => record.what)).toEqual([key]);
  });

  test.each<[string, PurgeSelector, string]>([
    ['a tag', { by: 'tags', tags: ['location:s3', 's3'] }, 'location:*** ***'],
    ['a key', { by: 'key', key: 's3' }, '***'],
    ['a prefix', { by: 'prefix', prefix: '/events/?key=s3' }, '***'],
  ])('does not repeat %s that covers nothing, which may be a secret that was pasted', async (_what, selector, what) => {
    const { at, purger } = setUp();
    fill(at);
    await purged(purger, selector);
    expect(at.purges.map((record) => record.what)).toEqual([what]);
  });

  test('repeats what the configuration says, whether it covers anything or not', async () => {
    const { at, purger } = setUp();
    await purger.purge({
      selector: { by: 'tags', tags: ['kind:weather'] },
      soft: false,
      dryRun: false,
      source: 'schedule',
    });
    expect(at.purges.map((record) => record.what)).toEqual(['kind:weather']);
  });
});
