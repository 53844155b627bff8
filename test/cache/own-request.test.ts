import { describe, expect, it, onTestFinished } from 'vitest';

import type { Route } from '../../src/core/route.ts';
import { ExchangeRig } from '../support/exchange-rig.ts';
import { fieldsOf, HOUR, honourRoute, MINUTE, routeOf } from '../support/policy.ts';

const open = honourRoute({}, { forwardHeaders: ['*'], rawQuery: true });

function rigOf(route: Route = open): ExchangeRig {
  const rig = new ExchangeRig({ routes: [route] });
  onTestFinished(() => rig[Symbol.dispose]());
  return rig;
}

/** Stores `v1` for a minute, with these fields, and lets time pass. */
async function storedAndPast(rig: ExchangeRig, ms: number, ...fields: readonly string[]): Promise<void> {
  const first = rig.get();
  await rig.settle();
  rig.call(0).answer(200, 'v1', fieldsOf('cache-control: max-age=60', 'content-length: 2', ...fields));
  await first;
  await rig.pass(ms, ms);
}

/** Lines of a call that are conditions or ranges. */
function conditionsOf(rig: ExchangeRig, index: number): readonly string[] {
  return rig
    .call(index)
    .fields.filter(([name]) => name.startsWith('if-') || name === 'range')
    .map(([name, value]) => `${name}: ${value}`);
}

describe('a HEAD on an honour route', () => {
  it('is answered from a fresh stored response to a GET', async () => {
    const rig = rigOf();
    await storedAndPast(rig, 1000);
    const seen = await rig.head();
    expect([seen.status, seen.text, seen.outcome]).toEqual([200, '', 'hit']);
    expect(seen.fields).toContainEqual(['content-length', '2']);
    expect(rig.calls).toHaveLength(1);
  });

  it('is about the whole, whatever range it brings, and says which ranges can be had here', async () => {
    const rig = rigOf();
    await storedAndPast(rig, 1000, 'accept-ranges: none');
    const seen = await rig.head('/forecast', 'range: bytes=0-0');
    expect([seen.status, seen.outcome]).toEqual([200, 'hit']);
    const said = seen.fields.filter(([name]) => ['accept-ranges', 'content-length', 'content-range'].includes(name));
    expect(said).toEqual([
      ['accept-ranges', 'bytes'],
      ['content-length', '2'],
    ]);
  });

  it('goes upstream as a HEAD where nothing is stored, and stores nothing', async () => {
    const rig = rigOf();
    const head = rig.head();
    await rig.settle();
    expect(rig.call(0).canonical.method).toBe('HEAD');
    rig.call(0).answer(200, '', fieldsOf('cache-control: max-age=60', 'content-length: 7', 'x-own: 1'));
    const seen = await head;
    expect([seen.status, seen.text, seen.cacheStatus]).toEqual([200, '', 'forecache; fwd=uri-miss; detail=method']);
    expect(seen.fields).toContainEqual(['content-length', '7']);
    expect(seen.fields).toContainEqual(['x-own', '1']);
    void rig.get();
    await rig.settle();
    expect(rig.call(1).canonical.method).toBe('GET');
  });

  it('lets go of an answer to a range or condition that it did not bring', async () => {
    const rig = rigOf();
    const all = [rig.head(), rig.get()];
    await rig.settle();
    for (const call of rig.calls) call.answer(206, 'v', fieldsOf('content-range: bytes 0-0/2'));
    expect((await Promise.all(all)).map(({ status }) => status)).toEqual([502, 502]);
    expect(rig.cancelled).toBe(2);
  });

  it('is shared with nobody', async () => {
    const rig = rigOf();
    const all = [rig.get(), rig.head(), rig.head()];
    await rig.settle();
    expect(rig.calls.map(({ canonical }) => canonical.method)).toEqual(['GET', 'HEAD', 'HEAD']);
    for (const call of rig.calls) call.answer(200, '', fieldsOf('cache-control: max-age=60'));
    expect((await Promise.all(all)).map(({ outcome }) => outcome)).toEqual(['miss', 'miss', 'miss']);
  });

  it('freshens what is stored where its validators are the same (RFC 9111 §4.3.5)', async () => {
    const rig = rigOf();
    await storedAndPast(rig, 2 * MINUTE, 'etag: "1"', 'x-own: old');
    const head = rig.head();
    await rig.settle();
    expect([rig.call(1).canonical.method, conditionsOf(rig, 1)]).toEqual(['HEAD', []]);
    rig.call(1).answer(200, '', fieldsOf('cache-control: max-age=60', 'etag: "1"', 'content-length: 2', 'x-own: new'));
    await head;
    const seen = await rig.get();
    expect([seen.text, seen.outcome]).toEqual(['v1', 'hit']);
    expect(seen.fields).toContainEqual(['x-own', 'new']);
  });

  it.each([
    ['another entity tag', 'etag: "2"'],
    ['another length', 'content-length: 3'],
    ['no-store', 'cache-control: no-store'],
  ])('drops what is stored where it tells of %s', async (_what, line) => {
    const rig = rigOf();
    await storedAndPast(rig, 2 * MINUTE, 'etag: "1"');
    const head = rig.head();
    await rig.settle();
    rig.call(1).answer(200, '', fieldsOf('cache-control: max-age=60', line));
    await head;
    const get = rig.get();
    await rig.settle();
    expect(conditionsOf(rig, 2)).toEqual([]);
    rig.call(2).answer(200, 'v2');
    expect((await get).cacheStatus).toContain('fwd=uri-miss');
  });

  it('does not bring back what was purged while it was on its way', async () => {
    const rig = rigOf();
    await storedAndPast(rig, 2 * MINUTE, 'etag: "1"');
    const head = rig.head();
    await rig.settle();
    await rig.purge();
    rig.call(1).answer(200, '', fieldsOf('cache-control: max-age=60', 'etag: "1"'));
    await head;
    void rig.get();
    await rig.settle();
    expect(rig.calls).toHaveLength(3);
  });

  it('leaves what is stored alone where it fails, and is answered from it where upstream cannot be reached', async () => {
    const rig = rigOf();
    await storedAndPast(rig, 2 * MINUTE, 'etag: "1"');
    const head = rig.head();
    await rig.settle();
    rig.call(1).fail();
    const seen = await head;
    expect([seen.status, seen.outcome]).toEqual([200, 'stale-error']);
    void rig.get();
    await rig.settle();
    expect(conditionsOf(rig, 2)).toEqual(['if-none-match: "1"']);
  });

  it('leaves what is stored alone where the request itself says no-store', async () => {
    const rig = rigOf();
    await storedAndPast(rig, 2 * MINUTE, 'etag: "1"');
    const head = rig.head('/forecast', 'cache-control: no-store');
    await rig.settle();
    rig.call(1).answer(200, '', fieldsOf('cache-control: max-age=60', 'etag: "1"'));
    await head;
    void rig.get();
    await rig.settle();
    expect(conditionsOf(rig, 2)).toEqual(['if-none-match: "1"']);
  });

  it('takes the client’s conditions along, but no range', async () => {
    const rig = rigOf();
    const head = rig.head('/forecast', 'if-none-match: "9"', 'range: bytes=0-1', 'if-range: "9"');
    await rig.settle();
    expect(conditionsOf(rig, 0)).toEqual(['if-none-match: "9"']);
    rig.call(0).answer(304, '', fieldsOf('etag: "9"'));
    expect((await head).status).toBe(304);
  });

  it('is a 502 where a part answers it', async () => {
    const rig = rigOf();
    const head = rig.head();
    await rig.settle();
    rig.call(0).answer(206, '', fieldsOf('content-range: bytes 0-1/9'));
    expect((await head).status).toBe(502);
    expect(rig.cancelled).toBe(1);
  });
});

describe('a HEAD on a ruled route', () => {
  it('fetches the whole, which a GET then gets from store', async () => {
    const rig = rigOf(routeOf());
    const head = rig.head('/forecast', 'if-none-match: "9"');
    await rig.settle();
    expect([rig.call(0).canonical.method, conditionsOf(rig, 0)]).toEqual(['GET', []]);
    rig.call(0).answer(200, 'v1');
    await head;
    expect((await rig.get()).outcome).toBe('hit');
  });
});

describe('a client’s conditions on an honour route', () => {
  it('go upstream where nothing is stored, and the 304 goes back', async () => {
    const rig = rigOf();
    const asked = rig.get('/forecast', 'if-none-match: "1"', 'if-modified-since: Mon, 23 Nov 2026 11:00:00 GMT');
    await rig.settle();
    expect(conditionsOf(rig, 0)).toEqual(['if-none-match: "1"', 'if-modified-since: Mon, 23 Nov 2026 11:00:00 GMT']);
    rig.call(0).answer(304, '', fieldsOf('etag: "1"', 'cache-control: max-age=60', 'content-length: 99'));
    const seen = await asked;
    expect([seen.status, seen.text, seen.cacheStatus]).toEqual([304, '', 'forecache; fwd=uri-miss; detail=status']);
    expect(seen.fields).toContainEqual(['etag', '"1"']);
    void rig.get();
    await rig.settle();
    expect(rig.calls).toHaveLength(2);
  });

  it('may bring the whole, which is stored', async () => {
    const rig = rigOf();
    const asked = rig.get('/forecast', 'if-none-match: "1"');
    await rig.settle();
    rig.call(0).answer(200, 'v2', fieldsOf('etag: "2"', 'cache-control: max-age=60'));
    expect([(await asked).text, (await rig.get()).outcome]).toEqual(['v2', 'hit']);
  });

  it('are each for themselves', async () => {
    const rig = rigOf();
    const all = [rig.get('/forecast', 'if-none-match: "1"'), rig.get('/forecast', 'if-none-match: "2"')];
    await rig.settle();
    expect([conditionsOf(rig, 0), conditionsOf(rig, 1)]).toEqual([['if-none-match: "1"'], ['if-none-match: "2"']]);
    rig.call(0).answer(304);
    rig.call(1).answer(200, 'v1');
    expect((await Promise.all(all)).map(({ status }) => status)).toEqual([304, 200]);
  });

  it('wait for a plain fetch that is under way, and are evaluated on what comes of it', async () => {
    const rig = rigOf();
    const first = rig.get();
    await rig.settle();
    const second = rig.get('/forecast', 'if-none-match: "1"');
    const third = rig.get('/forecast', 'range: bytes=1-1');
    await rig.settle();
    expect(rig.calls).toHaveLength(1);
    rig.call(0).answer(200, 'v1', fieldsOf('etag: "1"', 'cache-control: max-age=60'));
    expect((await first).status).toBe(200);
    expect([(await second).status, (await third).text]).toEqual([304, '1']);
  });

  it('go upstream by themselves where what was under way cannot be had', async () => {
    const rig = rigOf();
    const first = rig.get();
    await rig.settle();
    const second = rig.get('/forecast', 'if-none-match: "1"');
    await rig.settle();
    rig.call(0).answer(200, 'v1', fieldsOf('cache-control: private'));
    await first;
    await rig.settle();
    expect(conditionsOf(rig, 1)).toEqual(['if-none-match: "1"']);
    rig.call(1).answer(304);
    expect((await second).status).toBe(304);
  });

  it('do not join what was purged since it began', async () => {
    const rig = rigOf();
    void rig.get();
    await rig.settle();
    await rig.purge();
    void rig.get('/forecast', 'if-none-match: "1"');
    await rig.settle();
    expect(conditionsOf(rig, 1)).toEqual(['if-none-match: "1"']);
  });

  it('give way to the validators of what is stored, and are evaluated afterwards', async () => {
    const rig = rigOf();
    await storedAndPast(rig, 2 * MINUTE, 'etag: "1"');
    const asked = rig.get('/forecast', 'if-none-match: "0", "1"');
    await rig.settle();
    expect(conditionsOf(rig, 1)).toEqual(['if-none-match: "1"']);
    rig.call(1).answer(304, '', fieldsOf('cache-control: max-age=60'));
    expect((await asked).status).toBe(304);
    expect((await rig.get()).outcome).toBe('hit');
  });

  it('are held back where what is stored has no validator', async () => {
    const rig = rigOf(honourRoute({ staleIfErrorMs: HOUR }, { forwardHeaders: ['*'], rawQuery: true }));
    await storedAndPast(rig, 2 * MINUTE);
    const asked = rig.get('/forecast', 'if-none-match: "2"');
    await rig.settle();
    expect(conditionsOf(rig, 1)).toEqual([]);
    rig.call(1).answer(200, 'v2', fieldsOf('cache-control: max-age=60', 'etag: "2"'));
    expect((await asked).status).toBe(304);
  });

  it('never go upstream on a ruled route', async () => {
    const rig = rigOf(routeOf());
    const asked = rig.get('/forecast', 'if-none-match: "1"', 'range: bytes=0-0');
    await rig.settle();
    expect(conditionsOf(rig, 0)).toEqual([]);
    rig.call(0).answer(200, 'v1', fieldsOf('etag: "1"'));
    expect((await asked).status).toBe(304);
  });

  it('are what alone makes a 304 an answer', async () => {
    const rig = rigOf();
    const plain = rig.get();
    await rig.settle();
    rig.call(0).answer(304);
    expect((await plain).status).toBe(502);
    const ranged = rig.get('/forecast', 'range: bytes=0-0');
    await rig.settle();
    rig.call(1).answer(304);
    expect((await ranged).status).toBe(502);
    const conditional = rig.get('/forecast', 'if-none-match: "1"');
    await rig.settle();
    rig.call(2).answer(206, 'v', fieldsOf('content-range: bytes 0-0/2'));
    expect((await conditional).status).toBe(502);
  });
});

describe('a range on an honour route', () => {
  it('goes upstream where nothing is stored, and the part goes back and is not stored', async () => {
    const rig = rigOf();
    const asked = rig.get('/forecast', 'range: bytes=1-1', 'if-range: "1"');
    await rig.settle();
    expect(conditionsOf(rig, 0)).toEqual(['range: bytes=1-1', 'if-range: "1"']);
    rig.call(0).answer(206, '1', fieldsOf('content-range: bytes 1-1/2', 'cache-control: max-age=60'));
    const seen = await asked;
    expect([seen.status, seen.text]).toEqual([206, '1']);
    expect(seen.fields).toContainEqual(['content-range', 'bytes 1-1/2']);
    expect(seen.fields).toContainEqual(['content-length', '1']);
    const gets = [rig.get(), rig.get()];
    await rig.settle();
    // What a part was answered with says nothing of the whole: it is still fetched once for all.
    expect(rig.calls).toHaveLength(2);
    rig.call(1).answer(200, 'v1', fieldsOf('cache-control: max-age=60'));
    expect((await Promise.all(gets)).map(({ text }) => text)).toEqual(['v1', 'v1']);
  });

  it('stays here where credentials are looked for in answers: a part may hold one half of one', async () => {
    const rig = rigOf(honourRoute({}, { asksPlain: true }));
    const asked = rig.get('/forecast', 'range: bytes=1-1', 'if-range: "1"', 'if-none-match: "2"');
    await rig.settle();
    expect(conditionsOf(rig, 0)).toEqual(['if-none-match: "2"']);
    rig.call(0).answer(206, '1', fieldsOf('content-range: bytes 1-1/2'));
    expect((await asked).status).toBe(502);
    const again = rig.get('/forecast', 'range: bytes=1-1');
    await rig.settle();
    expect(conditionsOf(rig, 1)).toEqual([]);
    rig.call(1).answer(200, 'v1', fieldsOf('cache-control: max-age=60'));
    const seen = await again;
    expect([seen.status, seen.text]).toEqual([206, '1']);
  });

  it('is told that there is no such part', async () => {
    const rig = rigOf();
    const asked = rig.get('/forecast', 'range: bytes=9-');
    await rig.settle();
    rig.call(0).answer(416, '', fieldsOf('content-range: bytes */2', 'cache-control: max-age=60'));
    expect((await asked).status).toBe(416);
    void rig.get();
    await rig.settle();
    expect(rig.calls).toHaveLength(2);
  });

  it('is cut from the whole where upstream sends that, which is stored', async () => {
    const rig = rigOf();
    const asked = rig.get('/forecast', 'range: bytes=1-1');
    await rig.settle();
    rig.call(0).answer(200, 'v1', fieldsOf('cache-control: max-age=60'));
    const seen = await asked;
    expect([seen.status, seen.text, seen.cacheStatus]).toEqual([
      206,
      '1',
      'forecache; fwd=uri-miss; fwd-status=200; stored',
    ]);
    expect((await rig.get()).text).toBe('v1');
  });

  it('is cut from what is stored and stale once that is validated', async () => {
    const rig = rigOf();
    await storedAndPast(rig, 2 * MINUTE, 'etag: "1"');
    const asked = rig.get('/forecast', 'range: bytes=0-0');
    await rig.settle();
    expect(conditionsOf(rig, 1)).toEqual(['if-none-match: "1"']);
    rig.call(1).answer(304, '', fieldsOf('cache-control: max-age=60'));
    const seen = await asked;
    expect([seen.status, seen.text]).toEqual([206, 'v']);
  });
});

describe('what is one client’s', () => {
  const withAuthorization = honourRoute({}, { forwardHeaders: ['*'], rawQuery: true, forwardsAuthorization: true });

  it('reaches nobody who waits for the same, where nothing says that it may be shared (RFC 9111 §3.5)', async () => {
    const rig = rigOf(withAuthorization);
    const mine = rig.get('/forecast', 'authorization: Bearer mine');
    await rig.settle();
    const others = [rig.get('/forecast', 'authorization: Bearer other'), rig.get()];
    await rig.settle();
    expect(rig.calls).toHaveLength(1);
    rig.call(0).answer(200, 'mine', fieldsOf('cache-control: max-age=60'));
    expect((await mine).text).toBe('mine');
    await rig.settle();
    expect(rig.calls).toHaveLength(3);
    rig.call(1).answer(200, 'other', fieldsOf('cache-control: max-age=60'));
    rig.call(2).answer(200, 'anybody', fieldsOf('cache-control: max-age=60'));
    expect((await Promise.all(others)).map(({ text }) => text)).toEqual(['other', 'anybody']);
    expect((await rig.get()).text).toBe('anybody');
  });

  it('is everybody’s where upstream says public', async () => {
    const rig = rigOf(withAuthorization);
    const all = [rig.get('/forecast', 'authorization: Bearer mine'), rig.get()];
    await rig.settle();
    rig.call(0).answer(200, 'all', fieldsOf('cache-control: max-age=60, public'));
    expect((await Promise.all(all)).map(({ text }) => text)).toEqual(['all', 'all']);
    expect(rig.calls).toHaveLength(1);
  });

  it('reaches nobody who waits where a 304 says private of what is stored', async () => {
    const rig = rigOf();
    await storedAndPast(rig, 2 * MINUTE, 'etag: "1"');
    const mine = rig.get();
    await rig.settle();
    const other = rig.get();
    await rig.settle();
    expect(rig.calls).toHaveLength(2);
    rig.call(1).answer(304, '', fieldsOf('cache-control: private', 'x-of: mine'));
    expect((await mine).fields).toContainEqual(['x-of', 'mine']);
    await rig.settle();
    rig.call(2).answer(200, 'other');
    expect((await other).text).toBe('other');
  });
});
