import { afterEach, describe, expect, it } from 'vitest';
import { groupTag } from '../../src/core/upstream-tags.ts';
import { scopesOfSelector } from '../../src/core/purge-scopes.ts';
import type { Route } from '../../src/core/route.ts';
import { ExchangeRig, type Seen } from '../support/exchange-rig.ts';
import { fieldsOf, honourRoute, HOUR, requestOf, routeOf } from '../support/policy.ts';

const fresh = 'Cache-Control: max-age=60';
const group = (name: string): string => `t:${groupTag('http://weather.test', name)}`;

const rigs: ExchangeRig[] = [];
function rigWith(route: Route): ExchangeRig {
  const rig = new ExchangeRig({ routes: [route] });
  rigs.push(rig);
  return rig;
}

afterEach(() => {
  for (const rig of rigs.splice(0)) rig[Symbol.dispose]();
});

const honoured = (overrides: Partial<Route> = {}): Route =>
  honourRoute({ keepForValidationMs: HOUR }, { match: '/p/*', rawQuery: true, ...overrides });

const noPlaces = () => expect.fail('no URL');

/** Asks, and answers the call that it makes. */
async function fetched(
  rig: ExchangeRig,
  path: string,
  { text = 'text', lines = [], status = 200, asked = [] }: Partial<Answered>,
): Promise<Seen> {
  const { length } = rig.calls;
  const seen = rig.get(path, ...asked);
  await rig.settle();
  rig.call(length).answer(status, text, fieldsOf(fresh, ...lines));
  return seen;
}

interface Answered {
  readonly text: string;
  readonly lines: readonly string[];
  readonly status: number;
  readonly asked: readonly string[];
}

/** Whether it is served without a call; one that is made fails. */
async function isHeld(rig: ExchangeRig, path: string, ...fields: readonly string[]): Promise<boolean> {
  const { length } = rig.calls;
  const seen = rig.get(path, ...fields);
  await rig.settle();
  if (rig.calls.length > length) rig.call(length).fail();
  await seen;
  return rig.calls.length === length;
}

/** The fields that a client gets. */
async function fieldsOfAnswer(rig: ExchangeRig, path: string): Promise<readonly string[]> {
  const handled = await rig.exchange.handle(requestOf({ path }));
  if (handled.kind !== 'response') throw new Error('no answer');
  return handled.response.fields.map(([name]) => name);
}

describe('groups of upstream (RFC 9875)', () => {
  it('are tags by which what is in them is purged and listed, and no more', async () => {
    const rig = rigWith(honoured());
    await fetched(rig, '/p/a', { lines: ['Cache-Groups: "one", "two"'] });
    await fetched(rig, '/p/b', { lines: ['Cache-Groups: "two"'] });
    const listed = rig.memory.list({ tag: groupTag('http://weather.test', 'one'), limit: 10 });
    expect(listed.map(({ item }) => item.url)).toEqual(['/p/a']);
    await rig.purge(group('one'));
    expect([await isHeld(rig, '/p/a'), await isHeld(rig, '/p/b')]).toEqual([false, true]);
  });

  it('are passed on', async () => {
    const rig = rigWith(honoured());
    await fetched(rig, '/p/a', { lines: ['Cache-Groups: "one"'] });
    expect(await fieldsOfAnswer(rig, '/p/a')).toContain('cache-groups');
  });

  it('of what is fetched while they are purged keep it from being stored', async () => {
    const rig = rigWith(honoured());
    const seen = rig.get('/p/a');
    await rig.settle();
    await rig.purge(group('one'));
    rig.call(0).answer(200, 'from before', fieldsOf(fresh, 'Cache-Groups: "one"'));
    expect(await seen).toMatchObject({ text: 'from before' });
    expect(rig.storage).toEqual(['purged']);
    expect(await isHeld(rig, '/p/a')).toBe(false);
  });

  it('keep what was purged in the air from whoever came after the purge and waited', async () => {
    const rig = rigWith(honoured());
    const before = rig.get('/p/a');
    await rig.settle();
    await rig.purge(group('one'));
    const after = rig.get('/p/a');
    await rig.settle();
    // Nothing says yet that the purge covers it.
    expect(rig.calls).toHaveLength(1);
    rig.call(0).answer(200, 'from before', fieldsOf(fresh, 'Cache-Groups: "one"'));
    expect((await before).text).toBe('from before');
    await rig.settle();
    rig.call(1).answer(200, 'from after', fieldsOf(fresh, 'Cache-Groups: "one"'));
    expect((await after).text).toBe('from after');
  });

  it('that a 304 names count from then on, and stay without a word of it', async () => {
    const rig = rigWith(honoured());
    await fetched(rig, '/p/a', { lines: ['ETag: "1"', 'Cache-Groups: "one"'] });
    rig.clock.advance(61_000);
    expect(await fetched(rig, '/p/a', { status: 304 })).toMatchObject({ outcome: 'revalidated' });
    await rig.purge(group('two'));
    expect(await isHeld(rig, '/p/a')).toBe(true);
    rig.clock.advance(61_000);
    await fetched(rig, '/p/a', { status: 304, lines: ['Cache-Groups: "two"'] });
    await rig.purge(group('one'));
    expect(await isHeld(rig, '/p/a')).toBe(true);
    await rig.purge(group('two'));
    expect(await isHeld(rig, '/p/a')).toBe(false);
  });

  it('that the answer to a HEAD names count too', async () => {
    const rig = rigWith(honoured());
    await fetched(rig, '/p/a', { lines: ['ETag: "1"', 'Cache-Groups: "one"'] });
    rig.clock.advance(61_000);
    const head = rig.head('/p/a');
    await rig.settle();
    rig.call(1).answer(200, '', fieldsOf(fresh, 'ETag: "1"', 'Content-Length: 4', 'Cache-Groups: "two"'));
    await head;
    await rig.purge(group('one'));
    expect(await isHeld(rig, '/p/a')).toBe(true);
    await rig.purge(group('two'));
    expect(await isHeld(rig, '/p/a')).toBe(false);
  });

  it('of one variant leave the others, before and after it', async () => {
    const rig = rigWith(honoured({ forwardHeaders: ['accept'] }));
    for (const name of ['a', 'b', 'c']) {
      const lines = ['Vary: Accept', `Cache-Groups: "${name}"`];
      await fetched(rig, '/p/x', { lines, asked: [`Accept: x/${name}`] });
    }
    await rig.purge(group('c'));
    await rig.purge(group('a'));
    expect(await isHeld(rig, '/p/x', 'Accept: x/a')).toBe(false);
    expect(await isHeld(rig, '/p/x', 'Accept: x/b')).toBe(true);
    expect(await isHeld(rig, '/p/x', 'Accept: x/c')).toBe(false);
  });

  it('past maxUpstreamTags keep the answer from being stored, and are counted', async () => {
    const rig = rigWith(honoured({ maxUpstreamTags: 2 }));
    await fetched(rig, '/p/a', { lines: ['Cache-Groups: "one", "two"'] });
    expect(rig.limits).toEqual([]);
    expect(await isHeld(rig, '/p/a')).toBe(true);
    await fetched(rig, '/p/b', { lines: ['Cache-Groups: "one", "two", "three"'] });
    expect([rig.limits, rig.storage]).toEqual([['routes.maxUpstreamTags'], ['stored', 'tags']]);
    expect(await isHeld(rig, '/p/b')).toBe(false);
  });

  it('past maxUpstreamTags take away what was stored, whether upstream answers in full or confirms it', async () => {
    const rig = rigWith(honoured({ maxUpstreamTags: 2 }));
    const more = 'Cache-Groups: "one", "two", "three"';
    for (const status of [200, 304]) {
      await fetched(rig, '/p/a', { lines: ['ETag: "1"', 'Cache-Groups: "one"'] });
      rig.clock.advance(61_000);
      expect(await fetched(rig, '/p/a', { status, lines: ['ETag: "1"', more] })).toMatchObject({ status: 200 });
      expect(rig.memory.stats().responses).toBe(0);
    }
    expect(rig.limits).toEqual(['routes.maxUpstreamTags', 'routes.maxUpstreamTags']);
  });

  it('past maxUpstreamTags in an answer to HEAD take away what was stored', async () => {
    const rig = rigWith(honoured({ maxUpstreamTags: 2 }));
    await fetched(rig, '/p/a', { lines: ['ETag: "1"'] });
    rig.clock.advance(61_000);
    const head = rig.head('/p/a');
    await rig.settle();
    const lines = [fresh, 'ETag: "1"', 'Content-Length: 4', 'Cache-Groups: "one", "two", "three"'];
    rig.call(1).answer(200, '', fieldsOf(...lines));
    await head;
    expect(rig.memory.stats().responses).toBe(0);
  });
});

describe('tags from Surrogate-Key and Cache-Tag', () => {
  const ruled = routeOf({ keepForValidationMs: HOUR }, { match: '/p/*', tagsFrom: ['surrogate-key', 'cache-tag'] });

  it('purge on any route that names the fields, which nobody else gets', async () => {
    const rig = rigWith(ruled);
    await fetched(rig, '/p/a', { lines: ['Surrogate-Key: x y', 'Cache-Tag: z'] });
    expect(await fieldsOfAnswer(rig, '/p/a')).not.toContain('surrogate-key');
    expect(await fieldsOfAnswer(rig, '/p/a')).not.toContain('cache-tag');
    await rig.purge('t:y');
    expect(await isHeld(rig, '/p/a')).toBe(false);
  });

  it('purge in whichever spelling an operator gives them', async () => {
    for (const tag of ['sale items', 'sale%20items', 'späte', 'sp%C3%A4te']) {
      const rig = rigWith(ruled);
      await fetched(rig, '/p/a', { lines: ['Cache-Tag: sale items,sp\u00c3\u00a4te'] });
      const scopes = scopesOfSelector({ by: 'tags', tags: [tag] }, noPlaces);
      await rig.purge(...(scopes.ok ? scopes.value : []));
      expect(await isHeld(rig, '/p/a')).toBe(false);
    }
  });

  it('that are not all read keep an answer from whoever came after any purge and waited, nor are passed on', async () => {
    const rig = rigWith({ ...ruled, maxUpstreamTags: 1 });
    const before = rig.get('/p/a');
    await rig.settle();
    await rig.purge('t:y');
    const after = rig.get('/p/a');
    await rig.settle();
    rig.call(0).answer(200, 'from before', fieldsOf('Surrogate-Key: x y'));
    expect((await before).text).toBe('from before');
    await rig.settle();
    rig.call(1).answer(200, 'from after', fieldsOf('Surrogate-Key: x y'));
    expect((await after).text).toBe('from after');
  });

  it('that are not all read keep what a 304 confirmed from whoever came after any purge and waited', async () => {
    const rig = rigWith({ ...ruled, maxUpstreamTags: 1 });
    await fetched(rig, '/p/a', { text: 'from before', lines: ['ETag: "1"', 'Surrogate-Key: x'] });
    rig.clock.advance(2 * HOUR);
    const before = rig.get('/p/a');
    await rig.settle();
    await rig.purge('t:y');
    const after = rig.get('/p/a');
    await rig.settle();
    expect(rig.calls).toHaveLength(2);
    rig.call(1).answer(304, '', fieldsOf('ETag: "1"', 'Surrogate-Key: x y'));
    expect((await before).text).toBe('from before');
    await rig.settle();
    rig.call(2).answer(200, 'from after', fieldsOf('Surrogate-Key: x y'));
    expect((await after).text).toBe('from after');
  });

  it('that a 304 brings are not passed on, even where there are more than are read', async () => {
    const rig = rigWith({ ...ruled, maxUpstreamTags: 1 });
    await fetched(rig, '/p/a', { lines: ['ETag: "1"', 'Surrogate-Key: x'] });
    rig.clock.advance(2 * HOUR);
    const handled = rig.exchange.handle(requestOf({ path: '/p/a' }));
    await rig.settle();
    rig.call(1).answer(304, '', fieldsOf('Surrogate-Key: x y'));
    const answered = await handled;
    if (answered.kind !== 'response') throw new Error('no answer');
    expect(answered.response.fields.map(([name]) => name)).not.toContain('surrogate-key');
    expect(rig.memory.stats().responses).toBe(0);
  });

  it('are not passed on with an answer that is not stored', async () => {
    const rig = rigWith(honoured({ tagsFrom: ['surrogate-key'] }));
    const handled = rig.exchange.handle(requestOf({ path: '/p/a' }));
    await rig.settle();
    rig.call(0).answer(200, 'text', fieldsOf('Cache-Control: no-store', 'Surrogate-Key: x', 'X-Other: 1'));
    const answered = await handled;
    if (answered.kind !== 'response') throw new Error('no answer');
    const names = answered.response.fields.map(([name]) => name);
    expect(names).toContain('x-other');
    expect(names).not.toContain('surrogate-key');
    if (answered.response.body.kind === 'stream') answered.response.body.cancel();
  });

  it('stay after a 304 that says nothing of them, with nothing of the fields in what is stored', async () => {
    const rig = rigWith(ruled);
    await fetched(rig, '/p/a', { lines: ['ETag: "1"', 'Surrogate-Key: x'] });
    rig.clock.advance(2 * HOUR);
    expect(await fetched(rig, '/p/a', { status: 304 })).toMatchObject({ outcome: 'revalidated' });
    expect(await fieldsOfAnswer(rig, '/p/a')).not.toContain('surrogate-key');
    await rig.purge('t:x');
    expect(await isHeld(rig, '/p/a')).toBe(false);
  });

  it('keep an answer that is not stored from whoever came after their purge', async () => {
    const rig = rigWith({ ...ruled, policy: { ...ruled.policy, storeIf: { json: true, exists: [], absent: [] } } });
    const before = rig.get('/p/a');
    await rig.settle();
    await rig.purge('t:x');
    const after = rig.get('/p/a');
    await rig.settle();
    rig.call(0).answer(200, 'no JSON', fieldsOf('Surrogate-Key: x'));
    expect((await before).text).toBe('no JSON');
    await rig.settle();
    rig.call(1).answer(200, '{}', fieldsOf('Surrogate-Key: x'));
    expect((await after).text).toBe('{}');
  });
});
