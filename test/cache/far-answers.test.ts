import { gzipSync } from 'node:zlib';
import { describe, expect, onTestFinished, test } from 'vitest';

import type { ProxyResponse, SameReads, StoreRead } from '../../src/cache/ports.ts';
import type { ProxyRequest, RequestMemo } from '../../src/core/request.ts';
import type { Route } from '../../src/core/route.ts';
import type { StoredResponse } from '../../src/core/stored-response.ts';
import { AnswerWriter, contentOf } from '../../src/server/fast-lane-answer.ts';
import { ExchangeRig } from '../support/exchange-rig.ts';
import { fieldsOf, honourRoute, requestOf, routeOf } from '../support/policy.ts';
import { Dice } from '../support/spellings.ts';

const writer = new AnswerWriter({ keepAliveMs: 5000 });

interface Given {
  readonly item: StoredResponse;
  readonly staleSinceMs?: number | undefined;
  readonly same?: SameReads | undefined;
}

/** What the shared tier says of reads that are the same; `bytes`: what was taken for what is made of them. */
class Same implements SameReads {
  made: object | undefined = undefined;
  bytes = 0;
  hasRoom = true;
  readonly memo: RequestMemo;

  constructor({ memo }: ProxyRequest) {
    if (memo === undefined) throw new Error('it is not known');
    this.memo = memo;
  }

  grow(bytes: number): boolean {
    if (this.hasRoom) this.bytes += bytes;
    return this.hasRoom;
  }
}

/** An exchange before a shared tier that says what it is told to. */
function stage(route: Route) {
  let given: Given | undefined;
  const reads: StoreRead[] = [];
  const rig = new ExchangeRig({
    routes: [route],
    between: (memory) => ({
      tier: 'memory',
      get: async () => {
        if (given === undefined) return undefined;
        const { item, staleSinceMs, same } = given;
        const read: StoreRead = { item, staleSinceMs, tier: 'redis', tally: { hits: 0 }, same };
        reads.push(read);
        return read;
      },
      peek: (key) => memory.peek(key),
      put: (item) => memory.put(item),
      invalidate: (key) => memory.invalidate(key),
    }),
  });
  onTestFinished(() => rig[Symbol.dispose]());
  const give = (of: Given): void => void (given = of);
  const answer = async (request: ProxyRequest, of: Given): Promise<ProxyResponse | 'fetched'> => {
    give(of);
    const before = rig.calls.length;
    const asked = Promise.resolve(rig.exchange.handle(request));
    await rig.settle();
    if (rig.calls.length > before) {
      rig.call(before).answer(200, 'fetched');
      await asked;
      return 'fetched';
    }
    const handled = await asked;
    if (handled.kind !== 'response') throw new Error('no response');
    return handled.response;
  };
  return { rig, answer, give, reads };
}

/** All that is said of it; the head as the fast lane sends it too. */
function said(response: ProxyResponse | 'fetched') {
  if (response === 'fetched') return response;
  const head = writer.textOf(response)?.head;
  const { status, fields, body, meta } = response;
  return { head, status, fields, body, meta, content: contentOf(response).toString('latin1') };
}

function knownRequest(): ProxyRequest {
  return requestOf({ memo: { made: undefined, grow: () => true } });
}

/** Answers as often as it takes for what they have in common to be kept. */
async function kept({ rig, answer }: ReturnType<typeof stage>, traits: Partial<StoredResponse> = {}) {
  const request = knownRequest();
  const same = new Same(request);
  const item = rig.stored('/forecast', traits);
  for (let times = 0; times < 2; times += 1) await answer(request, { item, same });
  return { same, request, item };
}

describe('an answer from the shared tier that was given before', () => {
  test('is made of what it was, with the bytes that came, in this second and the next', async () => {
    const on = stage(routeOf());
    const { same, request, item } = await kept(on);
    for (const [ms, text] of [
      [0, 'stored'],
      [400, 'STORED'],
      [600, 'stored'],
      [9_000, 'Stored'],
      [90_000, 'stored'],
      [3_000_000, 'stored'],
    ] as const) {
      on.rig.clock.advance(ms);
      const now = { ...item, body: Buffer.from(text) };
      const fresh = await on.answer(requestOf(), { item: now });
      const again = await on.answer(request, { item: now, same });
      if (again === 'fetched' || fresh === 'fetched') throw new Error('fetched');
      expect(again.head).toBe(same.made);
      expect(said(again)).toEqual(said(fresh));
      expect(writer.textOf(again)).toBe(writer.textOf(again));
      expect(on.reads.at(-1)?.tally.hits).toBe(1);
    }
  });

  test('is what nobody knows gets, whatever is asked and happens', async () => {
    const dice = new Dice(20_261_126);
    const routes = [routeOf(), honourRoute({}, { noVarySearch: true }), routeOf({}, { showKey: true })];
    const asks = [
      [],
      [],
      ['accept: */*'],
      ['range: bytes=1-2'],
      ['if-none-match: "a"'],
      ['if-modified-since: Mon, 23 Nov 2026 12:00:00 GMT'],
      ['cache-control: no-cache'],
      ['cache-control: max-age=5'],
      ['cache-control: only-if-cached'],
      ['accept-encoding: identity;q=1, gzip;q=0'],
      ['accept-encoding: gzip'],
    ];
    let again = 0;
    for (const route of routes) {
      const on = stage(route);
      for (let round = 0; round < 12; round += 1) {
        const isCoded = dice.chance(3);
        const body = isCoded ? gzipSync('stored '.repeat(20)) : Buffer.from('stored');
        const lines = [
          'etag: "a"',
          'date: Mon, 23 Nov 2026 12:00:00 GMT',
          ...(isCoded ? ['content-encoding: gzip'] : []),
        ];
        const status = dice.pick([200, 200, 200, 404, 204]);
        // Of no whole milliseconds, so that age and what is left do not always add up to the same.
        const responseTimeMs = on.rig.clock.nowMs() + dice.roll(10) * 0.1;
        const plain = on.rig.stored('/forecast', { body, fields: fieldsOf(...lines), status, etag: '"a"' });
        const freshness = { ...plain.freshness, freshUntilMs: responseTimeMs + 3_600_000 };
        const item = { ...plain, responseTimeMs, initialAgeMs: dice.chance(2) ? 0 : dice.roll(30) * 0.7, freshness };
        const known = knownRequest();
        const same = new Same(known);
        for (let step = 0; step < 20; step += 1) {
          on.rig.clock.advance(dice.pick([0, 0, 0, 300, 1000, 1000, 20_000, 700_000, -300, -1000]));
          const fields = fieldsOf(...dice.pick(asks));
          const method = dice.chance(8) ? 'HEAD' : 'GET';
          const staleSinceMs = dice.chance(8) ? on.rig.clock.nowMs() : undefined;
          const memo = method === 'GET' ? known.memo : undefined;
          const fresh = await on.answer({ ...requestOf(), method, fields }, { item, staleSinceMs });
          const one = await on.answer({ ...requestOf(), method, fields, memo }, { item, staleSinceMs, same });
          expect(said(one)).toEqual(said(fresh));
          if (one !== 'fetched' && one.head !== undefined) again += 1;
        }
      }
    }
    expect(again).toBeGreaterThan(100);
  });

  test('is none where the answer is for another request, or no fresh one', async () => {
    const on = stage(routeOf());
    const { same, request, item } = await kept(on);
    const headOf = async (asked: ProxyRequest, more: Partial<Given> = {}) => {
      const answer = await on.answer(asked, { item, same, ...more });
      return answer === 'fetched' ? answer : answer.head;
    };
    expect(await headOf(request)).toBe(same.made);
    expect(await headOf({ ...request, fields: fieldsOf('range: bytes=1-2') })).toBeUndefined();
    expect(await headOf({ ...request, memo: undefined })).toBeUndefined();
    expect(await headOf(knownRequest())).toBeUndefined();
    expect(await headOf(request, { staleSinceMs: on.rig.clock.nowMs() })).toBe('fetched');
    on.rig.clock.advance(3_599_999);
    expect(await headOf(request)).toBe(same.made);
    on.rig.clock.advance(1);
    expect(await headOf(request)).toBe('fetched');
  });

  test('is judged anew where its lease has gone or a purge covers it meanwhile', async () => {
    const on = stage(routeOf());
    const { same, request, item } = await kept(on);
    const isFetched = async (meanwhile: () => void | Promise<void>): Promise<boolean> => {
      const before = on.rig.calls.length;
      on.give({ item, same });
      const asked = Promise.resolve(on.rig.exchange.handle(request));
      await meanwhile();
      await on.rig.pass(3);
      if (on.rig.calls.length === before) return false;
      on.rig.call(before).answer(200, 'fetched');
      await asked;
      return true;
    };
    expect(await isFetched(() => {})).toBe(false);
    expect(await isFetched(() => void (on.rig.log.leased = false))).toBe(true);
    on.rig.log.leased = true;
    expect(await isFetched(() => {})).toBe(false);
    expect(await isFetched(async () => on.rig.purge(`u:${item.url}`))).toBe(true);
  });

  test('says what it says however late somebody looks', async () => {
    const on = stage(routeOf());
    const { same, request, item } = await kept(on);
    const early = await on.answer(request, { item, same });
    const fresh = await on.answer(requestOf(), { item });
    on.rig.clock.advance(5_000);
    await on.answer(request, { item, same });
    if (early === 'fetched' || fresh === 'fetched') throw new Error('fetched');
    expect(early.fields).toEqual(fresh.fields);
  });

  test('is kept of the request whose reads they are alone, and of none that gets but a part', async () => {
    const on = stage(routeOf());
    const owner = knownRequest();
    const item = on.rig.stored('/forecast');
    const same = new Same(owner);
    const strangers = [requestOf({ fields: fieldsOf('x-api-key: secret') }), knownRequest()];
    for (const stranger of strangers) {
      for (let times = 0; times < 2; times += 1) await on.answer(stranger, { item, same });
      expect([same.made, same.bytes]).toEqual([undefined, 0]);
    }
    await on.answer(owner, { item, same });
    expect(same.made).toBeDefined();
    for (const line of ['range: bytes=0-3', 'if-none-match: "x"']) {
      const request = { ...knownRequest(), fields: fieldsOf(line) };
      const part = new Same(request);
      for (let times = 0; times < 2; times += 1) await on.answer(request, { item, same: part });
      expect([part.made, part.bytes]).toEqual([undefined, 0]);
    }
  });

  test('takes 448 bytes and the lines of its head, once, and is made each time where there is no room', async () => {
    const on = stage(routeOf());
    const { same, request, item } = await kept(on);
    const answer = await on.answer(request, { item, same });
    if (answer === 'fetched') throw new Error('fetched');
    const lines = answer.fields.map(([name, value]) => `${name}: ${value}\r\n`).join('');
    expect(same.bytes).toBe(448 + lines.length);
    const full = new Same(request);
    full.hasRoom = false;
    for (let times = 0; times < 3; times += 1) {
      const refused = await on.answer(request, { item, same: full });
      expect(refused).not.toHaveProperty('head', expect.anything());
      expect(said(refused)).toEqual(said(answer));
    }
    // Not tried again with each answer, but when 64 more have been given.
    full.hasRoom = true;
    for (let times = 0; times < 61; times += 1) await on.answer(request, { item, same: full });
    expect(full.bytes).toBe(0);
    for (let times = 0; times < 2; times += 1) await on.answer(request, { item, same: full });
    expect(full.bytes).toBe(448 + lines.length);
    const again = await on.answer(request, { item, same: full });
    expect(again).toHaveProperty('head', expect.anything());
    expect(said(again)).toEqual(said(answer));
  });
});
