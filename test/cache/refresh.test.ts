import { describe, expect, it, onTestFinished } from 'vitest';

import type { Route } from '../../src/core/route.ts';
import { ExchangeRig } from '../support/exchange-rig.ts';
import { keyedOf, tableOf } from '../support/operations.ts';
import { fieldsOf, honourRoute, HOUR, MINUTE, routeOf } from '../support/policy.ts';

function warmerOf(route: Route) {
  const rig = new ExchangeRig({ routes: [route] });
  onTestFinished(() => rig[Symbol.dispose]());
  const refresh = (withoutCall?: string) => {
    const input = { route, keyed: keyedOf(tableOf([route]), '/forecast'), purpose: 'warm', reuseAbove: 0 } as const;
    return rig.refresher.refresh({ ...input, withoutCall }, new AbortController().signal);
  };
  return { rig, refresh };
}

describe('warming of what varies', () => {
  const route = honourRoute({ retainMs: 24 * HOUR }, { forwardHeaders: ['accept'] });
  const fields = fieldsOf('cache-control: max-age=60', 'vary: accept', 'etag: "a"');

  it('reuses the variant of a request without fields, and validates it when it is stale', async () => {
    const { rig, refresh } = warmerOf(route);
    const first = refresh();
    await rig.settle();
    rig.call(0).answer(200, 'plain', fields);
    expect(await first).toMatchObject({ result: 'fetched' });
    expect(await refresh()).toMatchObject({ result: 'reused', status: 200 });
    expect(rig.calls).toHaveLength(1);
    await rig.pass(2 * MINUTE, 2 * MINUTE);
    const again = refresh();
    await rig.settle();
    expect(rig.call(1).fields).toContainEqual(['if-none-match', '"a"']);
    rig.call(1).answer(304, '', fields);
    expect(await again).toMatchObject({ result: 'fetched', status: 304 });
    const seen = await rig.get();
    expect([seen.text, seen.outcome]).toEqual(['plain', 'hit']);
  });

  it('takes no variant of another request for it', async () => {
    const { rig, refresh } = warmerOf(route);
    const other = rig.get('/forecast', 'Accept: text/html');
    await rig.settle();
    rig.call(0).answer(200, 'html', fields);
    await other;
    const first = refresh();
    await rig.settle();
    expect(rig.call(1).fields.map(([name]) => name)).not.toContain('if-none-match');
    rig.call(1).answer(200, 'plain', fields);
    expect(await first).toMatchObject({ result: 'fetched' });
  });
});

describe('warming that joins a call as it is given up', () => {
  it('makes one of its own', async () => {
    const { rig, refresh } = warmerOf(routeOf());
    const client = { interim: () => {}, whenOver: () => {}, isOver: false };
    const asked = rig.ask({ client });
    await rig.settle();
    client.isOver = true;
    const warmed = refresh();
    await rig.settle();
    rig.call(0).fail('aborted');
    await rig.settle();
    rig.call(1).answer(200, 'x');
    expect(await warmed).toMatchObject({ result: 'fetched', status: 200 });
    expect((await asked).status).toBe(502);
  });

  it('fails where everything ends', async () => {
    const { rig, refresh } = warmerOf(routeOf());
    const both = [refresh(), refresh()];
    await rig.settle();
    const stopped = rig.background.stop();
    rig.call(0).fail('aborted');
    await stopped;
    expect(await Promise.all(both)).toMatchObject([{ result: 'failed' }, { result: 'failed' }]);
  });
});

describe('warming while upstream is not to be asked', () => {
  it('reuses what is good, and has failed with the reason, without a call, where it is not', async () => {
    const { rig, refresh } = warmerOf(routeOf());
    expect(await refresh('upstream has had enough')).toEqual({
      result: 'failed',
      status: undefined,
      detail: 'upstream has had enough',
    });
    expect(rig.calls).toEqual([]);
    const first = refresh();
    await rig.settle();
    rig.call(0).answer(200, 'x');
    await first;
    expect(await refresh('upstream has had enough')).toMatchObject({ result: 'reused', status: 200 });
  });
});

describe('warming of an error that is stored for a while', () => {
  it('has failed, fetched now or before', async () => {
    const { rig, refresh } = warmerOf(routeOf({ statusTtlMs: new Map([[429, MINUTE]]) }));
    const first = refresh();
    await rig.settle();
    rig.call(0).answer(429, 'quota');
    expect(await first).toMatchObject({ result: 'failed', status: 429 });
    expect(await refresh()).toMatchObject({ result: 'failed', status: 429 });
    expect(rig.calls).toHaveLength(1);
  });
});

describe('a refresh of what has no validator', () => {
  const route = routeOf({ staleWhileRevalidateMs: 6 * HOUR, staleIfErrorMs: 6 * HOUR });

  it('takes a 304 for no confirmation, since nothing was asked that it could confirm', async () => {
    const { rig, refresh } = warmerOf(route);
    const first = rig.get();
    await rig.settle();
    rig.call(0).answer(200, 'old');
    await first;
    await rig.pass(61 * MINUTE, 61 * MINUTE);
    // Behind a stale answer, and by warming.
    expect((await rig.get()).outcome).toBe('stale');
    await rig.settle();
    rig.call(1).answer(304);
    await rig.pass(2000, 2000);
    const warmed = refresh();
    await rig.settle();
    rig.call(2).answer(304);
    expect(await warmed).toMatchObject({ result: 'failed', detail: 'upstream answered 304 to a plain GET' });
    expect((await rig.get()).cacheStatus).toMatch(/^forecache; hit; ttl=-/);
  });
});
