import { describe, expect, it, onTestFinished } from 'vitest';

import type { ClientLink } from '../../src/cache/handled.ts';
import type { Route } from '../../src/core/route.ts';
import { ExchangeRig } from '../support/exchange-rig.ts';
import { fieldsOf, honourRoute, MINUTE, routeOf } from '../support/policy.ts';

/** A client that notes what it hears. */
function listener(): ClientLink & { readonly heard: string[] } {
  const heard: string[] = [];
  const interim: ClientLink['interim'] = (status, fields) => void heard.push(`${status} ${fields.flat().join(' ')}`);
  return { heard, interim, whenOver: () => {}, isOver: false };
}

function rigOf(route: Route): ExchangeRig {
  const rig = new ExchangeRig({ routes: [route] });
  onTestFinished(() => rig[Symbol.dispose]());
  return rig;
}

describe('interim responses of upstream', () => {
  it('reach whoever began the call, and nobody who has joined it', async () => {
    const rig = rigOf(honourRoute());
    const [first, second] = [listener(), listener()];
    const answers = [rig.ask({ client: first })];
    await rig.settle();
    rig.call(0).onInterim?.(102, []);
    answers.push(rig.ask({ client: second }));
    await rig.settle();
    rig.call(0).onInterim?.(103, fieldsOf('link: </a>'));
    rig.call(0).answer(200, 'v1', fieldsOf('cache-control: max-age=60'));
    await Promise.all(answers);
    expect([first.heard, second.heard]).toEqual([['102 ', '103 link </a>'], []]);
    // Nothing of them is stored.
    const seen = await rig.get();
    expect(seen.fields.map(([name]) => name)).not.toContain('link');
  });

  it('reach a request that has waited in vain from its own call alone', async () => {
    const rig = rigOf(honourRoute());
    const [first, second] = [listener(), listener()];
    void rig.ask({ client: first });
    await rig.settle();
    void rig.ask({ client: second });
    await rig.settle();
    rig.call(0).onInterim?.(103, fieldsOf('set-cookie: of=first'));
    rig.call(0).answer(200, 'v1', fieldsOf('cache-control: private'));
    await rig.settle();
    rig.call(1).onInterim?.(103, fieldsOf('set-cookie: of=second'));
    expect([first.heard, second.heard]).toEqual([['103 set-cookie of=first'], ['103 set-cookie of=second']]);
  });

  it('reach a request that goes upstream by itself, and nobody else', async () => {
    const rig = rigOf(honourRoute({}, { forwardHeaders: ['*'] }));
    const [first, second] = [listener(), listener()];
    void rig.ask({ client: first, fields: ['if-none-match: "1"'] });
    void rig.ask({ client: second, fields: ['if-none-match: "2"'] });
    await rig.settle();
    rig.call(1).onInterim?.(103, []);
    expect([first.heard, second.heard]).toEqual([[], ['103 ']]);
  });

  it('do not reach who was answered before the call was made', async () => {
    const rig = rigOf(honourRoute());
    const stored = rig.get();
    await rig.settle();
    rig.call(0).answer(200, 'v1', fieldsOf('cache-control: max-age=60, stale-while-revalidate=600'));
    await stored;
    await rig.pass(2 * MINUTE, 2 * MINUTE);
    const client = listener();
    expect((await rig.ask({ client })).outcome).toBe('stale');
    await rig.settle();
    rig.call(1).onInterim?.(103, []);
    expect(client.heard).toEqual([]);
  });

  it('lose the fields that name tags for the route, and no other', async () => {
    const rig = rigOf(honourRoute({}, { tagsFrom: ['surrogate-key'] }));
    const client = listener();
    void rig.ask({ client });
    await rig.settle();
    rig.call(0).onInterim?.(103, fieldsOf('surrogate-key: a', 'link: </a>', 'cache-tag: b'));
    expect(client.heard).toEqual(['103 link </a> cache-tag b']);
  });

  it('reach nobody on a ruled route, whose call is the proxy’s own', async () => {
    const rig = rigOf(routeOf());
    const client = listener();
    void rig.ask({ client });
    await rig.settle();
    rig.call(0).onInterim?.(103, fieldsOf('set-cookie: a=b'));
    expect(client.heard).toEqual([]);
  });
});
