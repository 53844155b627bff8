import { describe, expect, it, onTestFinished } from 'vitest';

import { answer, type Origin, type OriginScript, startOrigin } from '../support/origin.ts';
import { startTestProxy, yamlFor } from '../support/proxy.ts';
import { callsWith, startMission } from '../support/mission.ts';

describe('what a library would call set, get and delete', () => {
  it('set and get: the first answer is stored and given to all that ask the same', async () => {
    const { get, weather } = await startMission();
    const first = await get('/weather/forecast?location=lima');
    const others = [await get('/weather/forecast?location=LIMA'), await get('/weather/forecast?location=lima&days=7')];
    for (const other of others) {
      expect(other.cacheStatus).toContain('; hit;');
      expect(other.body.equals(first.body)).toBe(true);
      expect(other.headers['content-type']).toBe(first.headers['content-type']);
    }
    expect(callsWith(weather, 'lima')).toBe(1);
  });

  it('get of what was never set: asked without a call upstream, it is nothing', async () => {
    const { call, weather } = await startMission();
    const { body } = await call('/api/explain', { url: '/weather/forecast?location=tokyo' });
    expect(body).toMatchObject({ stored: null, decision: { would: 'miss', fwd: 'uri-miss' } });
    expect(callsWith(weather, 'tokyo')).toBe(0);
  });

  it('delete: by the key that explain names, once, and only that', async () => {
    const { call, get } = await startMission();
    await get('/weather/forecast?location=lima');
    await get('/weather/forecast?location=tokyo');
    const { key } = (await call('/api/explain', { url: '/weather/forecast?location=lima' })).body;
    expect(await call('/api/purge', { key })).toMatchObject({ status: 200, body: { matched: 1 } });
    expect(await call('/api/purge', { key })).toMatchObject({ status: 200, body: { matched: 0 } });
    expect((await get('/weather/forecast?location=lima')).cacheStatus).toBe('forecache; fwd=uri-miss; stored');
    expect((await get('/weather/forecast?location=tokyo')).cacheStatus).toContain('; hit;');
  });
});

const routes = `
  - { name: forecast, match: /forecast, upstream: api, ttl: 1h, tags: ["location:{location}"],
      query: { location: { type: text, fold: true, required: true }, days: { type: integer, default: 7 } } }
`;

interface Wrapped {
  readonly origin: Origin;
  /** Calls the wrapped function with these arguments: status and body. */
  readonly call: (query: string) => Promise<string>;
}

/** An upstream as a function of its arguments, behind a route: what a caching decorator is to a function. */
async function wrapped(script: OriginScript): Promise<Wrapped> {
  const origin = await startOrigin(script);
  onTestFinished(() => origin.close());
  const proxy = await startTestProxy({ yaml: yamlFor(origin.url, routes) });
  onTestFinished(() => proxy[Symbol.asyncDispose]());
  return {
    origin,
    call: async (query) => {
      const { status, text } = await proxy.get(`/forecast?${query}`);
      return `${status} ${text}`;
    },
  };
}

const counting: OriginScript = (request, peer) =>
  peer.respond(200, {}, `${request.target} ${request.requestOnConnection}`);

describe('what a library would call a caching decorator', () => {
  it('calls the function once for the same arguments, in any order, with defaults said or left out', async () => {
    const { origin, call } = await wrapped(counting);
    const spellings = ['location=lima&days=7', 'days=7&location=Lima', 'location=%20LIMA', 'location=lima&days=+07'];
    const answers = new Set<string>();
    for (const query of spellings) answers.add(await call(query));
    expect([...answers]).toHaveLength(1);
    expect(origin.requests.map(({ target }) => target)).toEqual(['/forecast?days=7&location=lima']);
  });

  it('calls it again for other arguments', async () => {
    const { origin, call } = await wrapped(counting);
    const answers = [
      await call('location=lima&days=3'),
      await call('location=lima'),
      await call('location=lima%20sur'),
    ];
    expect(new Set(answers).size).toBe(3);
    expect(origin.requests).toHaveLength(3);
  });

  it('calls it once for callers that come at the same time, and gives all of them its answer', async () => {
    const gate = Promise.withResolvers<void>();
    const { origin, call } = await wrapped(async (_request, peer) => {
      await gate.promise;
      await peer.respond(200, {}, 'one for all');
    });
    const callers = Array.from({ length: 20 }, () => call('location=lima'));
    await origin.arrived(1);
    gate.resolve();
    expect(new Set(await Promise.all(callers))).toEqual(new Set(['200 one for all']));
    expect(origin.requests).toHaveLength(1);
  });

  it.each([400, 404, 429, 500, 503])(
    'does not remember a failure: after a %d the next call is made',
    async (status) => {
      const { origin, call } = await wrapped(answer(status, {}, 'failed'));
      expect(await call('location=lima')).toBe(`${status} failed`);
      origin.script(answer(200, {}, 'better'));
      expect(await call('location=lima')).toBe('200 better');
      expect(await call('location=lima')).toBe('200 better');
      expect(origin.requests).toHaveLength(2);
    },
  );

  it('does not call it where the arguments are wrong', async () => {
    const { origin, call } = await wrapped(counting);
    for (const query of ['', 'days=7', 'location=lima&days=x', 'location=a&location=b']) {
      expect(await call(query)).toMatch(/^400 .*"urn:forecache:problem:parameter-/);
    }
    expect(origin.requests).toEqual([]);
  });
});
