import { expect, it, onTestFinished } from 'vitest';

import type { Route } from '../../src/core/route.ts';
import { ExchangeRig } from '../support/exchange-rig.ts';
import { fieldsOf, honourRoute, HOUR, MINUTE, routeOf } from '../support/policy.ts';

async function stored(route: Route, ...fields: readonly string[]): Promise<ExchangeRig> {
  const rig = new ExchangeRig({ routes: [route] });
  onTestFinished(() => rig[Symbol.dispose]());
  const first = rig.get();
  await rig.settle();
  rig.call(0).answer(200, 'good', fieldsOf('etag: "a"', ...fields));
  await first;
  return rig;
}

async function purgeOthers(rig: ExchangeRig, count: number): Promise<void> {
  for (let number = 0; number < count; number += 1) await rig.purge(`u:/other/${number}`);
}

/** So many other things are purged, and so long ago, that the log has forgotten of what. */
async function forgetful(rig: ExchangeRig): Promise<void> {
  await purgeOthers(rig, 10_001);
  await rig.pass(HOUR + MINUTE, HOUR + MINUTE);
  await rig.purge('u:/other/last');
  await rig.settle();
  expect(rig.local.scopes).toBeLessThan(10);
}

it('what is stale is served for a failure though the log has forgotten purges of other things since', async () => {
  const rig = await stored(routeOf({ staleIfErrorMs: 6 * HOUR }));
  await forgetful(rig);
  const asked = rig.get();
  await rig.settle();
  rig.call(1).fail();
  const seen = await asked;
  expect([seen.status, seen.text, seen.outcome]).toEqual([200, 'good', 'stale-error']);
});

it('what is stale is validated though the log has forgotten purges of other things since', async () => {
  const rig = await stored(honourRoute(), 'cache-control: max-age=3600');
  await forgetful(rig);
  void rig.get();
  await rig.settle();
  expect(rig.call(1).fields).toContainEqual(['if-none-match', '"a"']);
});

it('what is stale is not served where the log has forgotten, while upstream was asked, that it was purged', async () => {
  const rig = await stored(routeOf({ staleIfErrorMs: 6 * HOUR }));
  await rig.pass(HOUR + MINUTE, HOUR + MINUTE);
  const asked = rig.get();
  await rig.settle();
  await rig.purge('u:/forecast');
  await purgeOthers(rig, 20_001);
  rig.call(1).fail();
  expect((await asked).status).toBe(502);
});

it('a good response stays where upstream is asked behind it and answers with an error, though the log has forgotten', async () => {
  const statusTtlMs = new Map([[503, MINUTE]]);
  const rig = await stored(routeOf({ staleWhileRevalidateMs: 6 * HOUR, statusTtlMs }));
  await forgetful(rig);
  expect((await rig.get()).outcome).toBe('stale');
  await rig.settle();
  rig.call(1).answer(503, 'down');
  await rig.settle();
  expect((await rig.get()).text).toBe('good');
});
