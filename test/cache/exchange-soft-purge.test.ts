import { expect, it, onTestFinished } from 'vitest';

import type { Route } from '../../src/core/route.ts';
import { ExchangeRig } from '../support/exchange-rig.ts';
import { fieldsOf, honourRoute, routeOf } from '../support/policy.ts';

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
