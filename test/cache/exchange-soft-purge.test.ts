import { expect, it, onTestFinished } from 'vitest';

import type { Route } from '../../src/core/route.ts';
import { ExchangeRig } from '../support/exchange-rig.ts';
import { fieldsOf, honourRoute, HOUR, MINUTE, routeOf, SECOND } from '../support/policy.ts';

const routes: readonly [string, Route][] = [
  ['an honour', honourRoute()],
  ['an ignore', routeOf()],
];

it.each(routes)(
  'a request on %s route does not get, as fresh, what was asked for before a soft purge',
  async (_kind, route) => {
    const rig = new ExchangeRig({ routes: [route] });
    onTestFinished(() => rig[Symbol.dispose]());
    const before = rig.get();
    await rig.settle();
    const receipt = await rig.local.append({ scopes: ['all'], soft: true });
    expect(receipt.ok).toBe(true);
    const after = Promise.all([rig.get(), rig.get()]);
    await rig.settle();
    expect(rig.calls).toHaveLength(1);
    rig.call(0).answer(200, 'old', fieldsOf('cache-control: max-age=60', 'etag: "a"'));
    await rig.settle();
    expect(rig.calls).toHaveLength(2);
    rig.call(1).answer(200, 'new', fieldsOf('cache-control: max-age=60', 'etag: "b"'));
    expect((await before).text).toBe('old');
    expect((await after).map(({ text }) => text)).toEqual(['new', 'new']);
  },
);

const minutes = { ttlMs: HOUR, staleIfErrorMs: 6 * HOUR, staleWhileRevalidateMs: 10 * MINUTE, retainMs: HOUR };

it.each<[string, Route, string]>([
  ['a ruled', routeOf({ ...minutes, staleWhileRevalidateMs: 0 }), ''],
  ['an honour', honourRoute({ retainMs: HOUR }), 'cache-control: max-age=3600, stale-if-error=21600'],
])('a soft purge leaves a stale window on %s route where retain ends with the lifetime', async (_kind, route, line) => {
  const rig = new ExchangeRig({ routes: [route] });
  onTestFinished(() => rig[Symbol.dispose]());
  const first = rig.get();
  await rig.settle();
  rig.call(0).answer(200, 'good', line === '' ? [] : fieldsOf(line));
  await first;
  await rig.pass(10 * MINUTE, 10 * MINUTE);
  await rig.local.append({ scopes: ['all'], soft: true });
  await rig.pass(SECOND, SECOND);
  const stale = rig.get();
  await rig.settle();
  rig.call(1).answer(503, 'down');
  const seen = await stale;
  expect([seen.status, seen.text, seen.outcome]).toEqual([200, 'good', 'stale-error']);
  // What is there an hour after it came goes all the same.
  await rig.pass(50 * MINUTE, 50 * MINUTE);
  const late = rig.get();
  await rig.settle();
  rig.call(2).answer(503, 'down');
  expect((await late).status).toBe(503);
});

it('a soft purge leaves what is served behind it its stale-while-revalidate', async () => {
  const rig = new ExchangeRig({ routes: [routeOf(minutes)] });
  onTestFinished(() => rig[Symbol.dispose]());
  const first = rig.get();
  await rig.settle();
  rig.call(0).answer(200, 'good');
  await first;
  await rig.pass(10 * MINUTE, 10 * MINUTE);
  await rig.local.append({ scopes: ['all'], soft: true });
  const seen = await rig.get();
  expect([seen.text, seen.outcome]).toEqual(['good', 'stale']);
});
