import { describe, expect, it, onTestFinished } from 'vitest';

import type { Route } from '../../src/core/route.ts';
import { ExchangeRig, type Seen } from '../support/exchange-rig.ts';
import { fieldsOf, honourRoute, HOUR, MINUTE, routeOf, SECOND } from '../support/policy.ts';

function rigOf(route: Route): ExchangeRig {
  const rig = new ExchangeRig({ routes: [route] });
  onTestFinished(() => rig[Symbol.dispose]());
  return rig;
}

/** All fields go upstream, cookies too. */
const open = (): Route => honourRoute({}, { forwardHeaders: ['*', 'cookie'] });

/** The answers to requests that came in this order, each with these lines, before the first was answered. */
async function together(
  rig: ExchangeRig,
  ...requests: readonly (readonly string[])[]
): Promise<{ readonly answers: readonly Promise<Seen>[] }> {
  const answers: Promise<Seen>[] = [];
  for (const lines of requests) {
    answers.push(rig.get('/forecast', ...lines));
    await rig.settle();
  }
  return { answers };
}

/** Stores a response, and lets it grow stale. */
async function staleRig(route: Route): Promise<ExchangeRig> {
  const rig = rigOf(route);
  const stored = rig.get();
  await rig.settle();
  rig.call(0).answer(200, 'v1', fieldsOf('cache-control: max-age=60, stale-if-error=6000', 'etag: "a"'));
  await stored;
  await rig.pass(2 * MINUTE, 2 * MINUTE);
  return rig;
}

describe('what upstream varies by and never sees of a client, since the upstream puts it on', () => {
  it('tells no two requests apart, at once or later', async () => {
    const rig = rigOf(honourRoute({}, { forwardHeaders: ['*'], putOn: ['accept-language'] }));
    const { answers } = await together(rig, ['accept-language: de'], ['accept-language: fr']);
    rig.call(0).answer(200, 'v1', fieldsOf('cache-control: max-age=60', 'vary: accept-language'));
    const later = [rig.get('/forecast'), rig.get('/forecast', 'accept-language: en')];
    const seen = await Promise.all([...answers, ...later]);
    expect(seen.map(({ text }) => text)).toEqual(['v1', 'v1', 'v1', 'v1']);
    expect(rig.calls).toHaveLength(1);
  });
});

it('Accept: */* says no more than no Accept to an upstream that varies by it', async () => {
  const rig = rigOf(honourRoute({}, { forwardHeaders: ['accept'] }));
  const { answers } = await together(rig, ['accept: */*'], []);
  rig.call(0).answer(200, 'v1', fieldsOf('cache-control: max-age=60', 'vary: accept'));
  expect((await Promise.all(answers)).map(({ text }) => text)).toEqual(['v1', 'v1']);
  const html = rig.get('/forecast', 'accept: text/html');
  await rig.settle();
  rig.call(1).answer(200, 'html', fieldsOf('cache-control: max-age=60', 'vary: accept'));
  expect((await html).text).toBe('html');
  expect((await rig.get('/forecast', 'accept: */*')).text).toBe('v1');
  expect(rig.calls).toHaveLength(2);
});

describe('what was fetched for another', () => {
  it.each<[string, Route, string]>([
    ['no-cache on an honour route', open(), 'cache-control: no-cache'],
    ['max-age=0 and must-revalidate on an honour route', open(), 'cache-control: max-age=0, must-revalidate'],
    ['no-cache on a cap route', routeOf({ upstreamCacheControl: 'cap' }), 'cache-control: no-cache'],
    ['no lifetime on an honour route', open(), 'x-nothing: 1'],
  ])('is for nobody else where it may not be used without validation: %s', async (_case, route, line) => {
    const rig = rigOf(route);
    const {
      answers: [alice, bob],
    } = await together(rig, ['x-sid: alice'], ['x-sid: bob']);
    expect(rig.calls).toHaveLength(1);
    rig.call(0).answer(200, 'of alice', fieldsOf(line, 'etag: "alice"'));
    await rig.settle();
    rig.call(1).answer(200, 'of bob', fieldsOf(line, 'etag: "bob"'));
    expect([(await alice)?.text, (await bob)?.text]).toEqual(['of alice', 'of bob']);
    expect((await bob)?.cacheStatus).not.toContain('collapsed');
  });

  it('is for nobody else where a 304 confirmed it for the one who asked', async () => {
    const rig = rigOf(open());
    const line = 'cache-control: no-cache';
    const stored = rig.get();
    await rig.settle();
    rig.call(0).answer(200, 'of bob', fieldsOf(line, 'etag: "bob"'));
    await stored;
    await rig.pass(MINUTE, MINUTE);
    const {
      answers: [bob, anonymous],
    } = await together(rig, ['cookie: sid=bob'], []);
    rig.call(1).answer(304, '', fieldsOf(line, 'etag: "bob"'));
    await rig.settle();
    rig.call(2).answer(403, 'forbidden');
    expect((await bob)?.text).toBe('of bob');
    expect((await anonymous)?.text).toBe('forbidden');
  });

  it('is not for a request that wants it younger or fresher than it is', async () => {
    const rig = rigOf(open());
    const {
      answers: [first, second, third],
    } = await together(rig, [], ['cache-control: min-fresh=60'], []);
    rig.call(0).answer(200, 'v1', fieldsOf('cache-control: max-age=3'));
    await rig.settle();
    expect(rig.calls).toHaveLength(2);
    rig.call(1).answer(200, 'v2', fieldsOf('cache-control: max-age=3'));
    expect([(await first)?.text, (await second)?.text, (await third)?.text]).toEqual(['v1', 'v2', 'v1']);
    // That was the wish of one request, so others go on waiting for each other.
    await rig.pass(5 * SECOND, 5 * SECOND);
    await together(rig, [], [], []);
    expect(rig.calls).toHaveLength(3);
  });

  it('is for all where it may be served stale meanwhile (RFC 5861 §3)', async () => {
    const rig = rigOf(open());
    const {
      answers: [first, second],
    } = await together(rig, [], []);
    rig.call(0).answer(200, 'v1', fieldsOf('cache-control: max-age=0, stale-while-revalidate=60'));
    expect([(await first)?.text, (await second)?.text]).toEqual(['v1', 'v1']);
    expect(rig.calls).toHaveLength(1);
  });

  it('is for all on a route that takes no notice of what upstream says', async () => {
    const rig = rigOf(routeOf({ ttlMs: 0 }));
    const { answers } = await together(rig, [], []);
    rig.call(0).answer(200, 'v1', fieldsOf('cache-control: no-cache', 'etag: "a"'));
    expect((await Promise.all(answers)).map((seen) => seen.text)).toEqual(['v1', 'v1']);
    expect(rig.calls).toHaveLength(1);
  });

  it('is for all on such a route too where a 304 confirmed what may not be stored any more', async () => {
    const rig = rigOf(routeOf({ keepForValidationMs: HOUR, retainMs: HOUR }));
    const stored = rig.get();
    await rig.settle();
    rig.call(0).answer(200, 'v1', fieldsOf('etag: "a"'));
    await stored;
    await rig.pass(HOUR, HOUR);
    const { answers } = await together(rig, [], [], []);
    rig.call(1).answer(304, '', fieldsOf('etag: "a"', 'vary: *'));
    for (const seen of await Promise.all(answers)) expect(seen.text).toBe('v1');
    expect(rig.calls).toHaveLength(2);
  });

  it('behind a hit is for nobody who came meanwhile, where it may not be used without validation', async () => {
    const rig = rigOf(open());
    const stored = rig.get();
    await rig.settle();
    rig.call(0).answer(200, 'v1', fieldsOf('cache-control: max-age=60, stale-while-revalidate=60', 'etag: "a"'));
    await stored;
    await rig.pass(90 * SECOND, 90 * SECOND);
    // The refresh goes with the fields of whom it was begun for.
    expect((await rig.get('/forecast', 'cookie: sid=alice')).text).toBe('v1');
    await rig.settle();
    await rig.pass(60 * SECOND, 60 * SECOND);
    const joined = rig.get();
    await rig.settle();
    expect(rig.calls).toHaveLength(2);
    rig.call(1).answer(200, 'of alice', fieldsOf('cache-control: no-cache', 'etag: "alice"'));
    await rig.settle();
    rig.call(2).answer(200, 'of nobody', fieldsOf('cache-control: no-cache', 'etag: "nobody"'));
    expect((await joined).text).toBe('of nobody');
  });

  it('and could not be shared makes the next requests go side by side, until it can be again', async () => {
    const rig = rigOf(open());
    const answerAll = async (from: number, line: string): Promise<void> => {
      for (let index = from; index < rig.calls.length; index += 1) {
        rig.call(index).answer(200, `call ${index}`, fieldsOf(line, 'etag: "a"'));
      }
      await rig.settle();
    };
    await together(rig, []);
    await answerAll(0, 'cache-control: no-cache');
    await together(rig, [], [], []);
    expect(rig.calls).toHaveLength(4);
    await answerAll(1, 'cache-control: max-age=1');
    await rig.pass(5 * SECOND, 5 * SECOND);
    await together(rig, [], [], []);
    expect(rig.calls).toHaveLength(5);
  });
});

describe('a failure that another request met', () => {
  const odd = 'x-odd: 1';

  it.each(['reset', 'malformed', 'truncated', 'too-large'] as const)(
    'is not for a request that looks otherwise to upstream: %s',
    async (failure) => {
      const rig = rigOf(open());
      const {
        answers: [attacker, victim],
      } = await together(rig, [odd], []);
      rig.call(0).fail(failure);
      await rig.settle();
      rig.call(1).answer(200, 'fine', fieldsOf('cache-control: max-age=60'));
      expect([(await attacker)?.status, (await victim)?.text]).toEqual([502, 'fine']);
    },
  );

  it.each<[string, Route, readonly string[]]>([
    ['that looks the same to upstream', open(), [odd]],
    ['on a ruled route, whose call is the same for all', routeOf(), []],
  ])('is for a request %s', async (_case, route, lines) => {
    const rig = rigOf(route);
    const { answers } = await together(rig, [odd], lines);
    rig.call(0).fail('reset');
    expect((await Promise.all(answers)).map((seen) => seen.status)).toEqual([502, 502]);
    expect(rig.calls).toHaveLength(1);
  });

  it.each(['connect', 'timeout'] as const)('is for all where it is no word on the request: %s', async (failure) => {
    const rig = rigOf(open());
    const { answers } = await together(rig, [odd], []);
    rig.call(0).fail(failure);
    const status = failure === 'timeout' ? 504 : 502;
    expect((await Promise.all(answers)).map((seen) => seen.status)).toEqual([status, status]);
    expect(rig.calls).toHaveLength(1);
  });

  it('by a timeout makes upstream silent for those alone that look the same to it', async () => {
    const rig = await staleRig(open());
    const waited = rig.get('/forecast', odd);
    await rig.settle();
    rig.call(1).fail('timeout');
    expect((await waited).text).toBe('v1');
    // Who looks the same is answered at once, and upstream asked behind it.
    expect((await rig.get('/forecast', odd)).outcome).toBe('stale-error');
    await rig.settle();
    rig.call(2).fail('timeout');
    await rig.settle();
    const victim = rig.get();
    await rig.settle();
    rig.call(3).answer(200, 'v2', fieldsOf('cache-control: max-age=60'));
    expect((await victim).text).toBe('v2');
  });

  it('by a timeout is forgotten by those who look the same once upstream answers them', async () => {
    const rig = await staleRig(open());
    const waited = rig.get('/forecast', odd);
    await rig.settle();
    rig.call(1).fail('timeout');
    await waited;
    expect((await rig.get('/forecast', odd)).outcome).toBe('stale-error');
    await rig.settle();
    rig.call(2).answer(200, 'v2', fieldsOf('cache-control: max-age=1', 'etag: "b"'));
    await rig.pass(5 * SECOND, 5 * SECOND);
    const asked = rig.get('/forecast', odd);
    await rig.settle();
    rig.call(3).answer(200, 'v3', fieldsOf('cache-control: max-age=1'));
    expect((await asked).text).toBe('v3');
  });

  it.each([
    'traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0N',
    'tracestate: rojo=00f067aa0ba902b7N,congo=t61rcWkgMzE',
    'baggage: userId=alice,serverNode=DF-N',
    'b3: 80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bdN-1',
    'x-b3-traceid: N',
    'x-b3-parentspanid: N',
    'request-id: N',
    'x-request-id: 5b0c9d3e-N',
    'x-correlation-id: N',
    'x-amzn-trace-id: Root=1-67891233-abcdef012345678912345678;Self=N',
    'x-cloud-trace-context: 105445aa7843bc8bf206b12000100000/N;o=1',
  ])('is for all who differ in the name of the exchange alone: %s', async (line) => {
    const rig = rigOf(open());
    const lines = Array.from({ length: 5 }, (_, index) => [line.replace('N', `${index}`)]);
    const { answers } = await together(rig, ...lines);
    rig.call(0).fail('reset');
    expect((await Promise.all(answers)).map((seen) => seen.status)).toEqual([502, 502, 502, 502, 502]);
    expect(rig.calls).toHaveLength(1);
  });

  it.each([
    ['is too long', 'a'.repeat(513)],
    ['has characters that ids have not', "' or 1=1"],
  ])('is not for others where the name of the exchange %s', async (_case, value) => {
    const rig = rigOf(open());
    const {
      answers: [attacker, victim],
    } = await together(rig, [`x-request-id: ${value}`], ['x-request-id: 1']);
    rig.call(0).fail('reset');
    await rig.settle();
    rig.call(1).answer(200, 'fine', fieldsOf('cache-control: max-age=60'));
    expect([(await attacker)?.status, (await victim)?.text]).toEqual([502, 'fine']);
  });

  it('by a timeout makes upstream silent for those who differ in the name of the exchange alone', async () => {
    const rig = await staleRig(open());
    const waited = rig.get('/forecast', 'x-request-id: 1');
    await rig.settle();
    rig.call(1).fail('timeout');
    await waited;
    expect((await rig.get('/forecast', 'x-request-id: 2')).outcome).toBe('stale-error');
  });

  it('by a timeout makes upstream silent for all once it has kept three kinds of requests waiting, until it answers', async () => {
    const rig = await staleRig(open());
    for (const [index, line] of ['x-odd: 1', 'x-odd: 2', 'x-odd: 3'].entries()) {
      const waited = rig.get('/forecast', line);
      await rig.settle();
      expect(rig.calls).toHaveLength(index + 2);
      rig.call(index + 1).fail('timeout');
      expect((await waited).text).toBe('v1');
    }
    expect((await rig.get('/forecast', 'x-odd: 4')).outcome).toBe('stale-error');
    await rig.settle();
    // Upstream is asked behind it.
    rig.call(4).answer(200, 'v2', fieldsOf('cache-control: max-age=1', 'etag: "b"'));
    await rig.pass(5 * SECOND, 5 * SECOND);
    const asked = rig.get('/forecast', 'x-odd: 5');
    await rig.settle();
    rig.call(5).answer(200, 'v3', fieldsOf('cache-control: max-age=60'));
    expect((await asked).text).toBe('v3');
  });

  it('by a timeout is not added to one that another kind of request met too long ago', async () => {
    const rig = await staleRig(open());
    for (const [index, line] of ['x-odd: 1', 'x-odd: 2', 'x-odd: 3'].entries()) {
      const waited = rig.get('/forecast', line);
      await rig.settle();
      rig.call(index + 1).fail('timeout');
      await waited;
      await rig.pass(15 * SECOND, 15 * SECOND);
    }
    const asked = rig.get('/forecast', 'x-odd: 4');
    await rig.settle();
    rig.call(4).answer(200, 'v2', fieldsOf('cache-control: max-age=60'));
    expect((await asked).text).toBe('v2');
  });
});
