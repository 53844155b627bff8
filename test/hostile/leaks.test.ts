import { describe, expect, it } from 'vitest';
import { get, head, startStage, told } from '../support/hostile.ts';
import { gated, type OriginScript } from '../support/origin.ts';

const routes = `
  - { name: ruled, match: /c/*, upstream: api, ttl: 10m }
  - { name: capped, match: /cap/*, upstream: api, ttl: 10m, upstreamCacheControl: cap }
  - { name: honoured, match: /h/*, upstream: api, upstreamCacheControl: honour, ttl: 10m }
  - { name: relayed, match: /r/*, upstream: api, cache: off }`;
const withKeyed = `${routes}
  - { name: keyed, match: /k/*, upstream: api, ttl: 10m, headers: [authorization, cookie] }`;

/** Answers with who asked. */
const whoami: OriginScript = (request, peer) =>
  peer.respond(
    200,
    { 'Cache-Control': 'public, max-age=600' },
    request.field('authorization') ?? request.field('cookie') ?? 'nobody',
  );

/** Answers with how long the caller's Authorization is, since a value of the proxy's own would be masked, and with its Cookie. */
const whoseField: OriginScript = (request, peer) =>
  peer.respond(
    200,
    { 'Cache-Control': 'max-age=600' },
    `${request.field('authorization')?.length ?? 0} ${request.field('cookie') ?? 'no cookie'}`,
  );

describe('Leaks between callers: credentials', () => {
  it.each([
    ['Authorization', 'c'],
    ['Authorization', 'cap'],
    ['Authorization', 'h'],
    ['Cookie', 'c'],
    ['Cookie', 'cap'],
    ['Cookie', 'h'],
  ])(
    '%s on a cached route that does not key it (/%s) → its owner alone gets the answer, nothing stored',
    async (name, route) => {
      await using stage = await startStage({ routes, script: whoami });
      const ask = async (...lines: readonly string[]) =>
        (await stage.converse(get(`/${route}/me`, ...lines))).replies[0]?.text;
      expect(await ask(`${name}: alice`)).toBe('alice');
      expect(await stage.stored()).toEqual([]);
      expect(await ask()).toBe('nobody');
      expect(await ask(`${name}: bob`)).toBe('bob');
      expect(await ask(`${name}:`)).toBe('');
      expect(await ask()).toBe('nobody');
      await stage.sound();
    },
  );

  it('requests of several callers at once → none gets another’s answer, however they collapse', async () => {
    for (const route of ['c', 'cap', 'h', 'k']) {
      const gate = Promise.withResolvers<void>();
      await using stage = await startStage({ routes: withKeyed, script: gated(gate.promise, whoami) });
      const callers = ['alice', 'bob', 'carol', undefined, undefined];
      const asked = callers.map((caller) =>
        stage.converse(get(`/${route}/me`, ...(caller === undefined ? [] : [`Authorization: ${caller}`]))),
      );
      await stage.origin.arrived(4);
      gate.resolve();
      const answers = (await Promise.all(asked)).map(({ replies }) => replies[0]?.text);
      expect(answers).toEqual(callers.map((caller) => caller ?? 'nobody'));
    }
  });

  it.each(['c', 'cap'])(
    'Authorization and Cookie in whose place the upstream’s credentials go (/%s) → one answer for all, theirs nowhere',
    async (route) => {
      const upstream = 'credentials: { headers: { authorization: "Bearer ${TOKEN}", cookie: "" } }';
      await using stage = await startStage({ routes, upstream, script: whoseField, env: { TOKEN: 't0k3n-s3cr3t' } });
      const callers = [['Authorization: Bearer alice'], ['Authorization: bob', 'Cookie: id=bob'], ['Cookie: a=b'], []];
      for (const lines of callers) {
        const { replies } = await stage.converse(get(`/${route}/me`, ...lines));
        expect(replies[0]?.text).toBe('19 no cookie');
      }
      expect(stage.origin.requests).toHaveLength(1);
      expect(await stage.stored()).toHaveLength(1);
      await stage.sound();
    },
  );

  it('Authorization and Cookie that the route keys → a response for each value, shown as a digest', async () => {
    await using stage = await startStage({ routes: withKeyed, script: whoami });
    const ask = async (...lines: readonly string[]) => (await stage.converse(get('/k/me', ...lines))).replies[0]?.text;
    expect(await ask('Authorization: Bearer alice-secret')).toBe('Bearer alice-secret');
    expect(await ask('Authorization: Bearer bob-secret')).toBe('Bearer bob-secret');
    expect(await ask('Cookie: id=carol-secret')).toBe('id=carol-secret');
    expect(await ask()).toBe('nobody');
    expect(await ask('Authorization: Bearer alice-secret')).toBe('Bearer alice-secret');
    expect(stage.asked()).toHaveLength(4);
    const listed = JSON.stringify((await stage.call('GET', '/api/stored')).body);
    expect(listed).toContain('sha256-');
    expect(listed).not.toMatch(/alice|bob|carol/);
  });

  it('Proxy-Authorization, on every kind of route → not upstream', async () => {
    await using stage = await startStage({ routes });
    for (const route of ['c', 'h', 'r']) {
      await stage.converse(get(`/${route}/x`, 'Proxy-Authorization: Basic c2VjcmV0', 'Proxy-Connection: keep-alive'));
    }
    expect(stage.asked()).toHaveLength(3);
    for (const request of stage.origin.requests) expect(request.rawHead).not.toMatch(/proxy-|c2VjcmV0/i);
  });

  it('an Authorization far behind a thousand other fields → 431, not an anonymous request', async () => {
    await using stage = await startStage({
      routes,
      script: whoami,
      server: 'limits: { maxHeaderBytes: 256KiB, maxHeaderFields: 2000 }',
    });
    const lines = Array.from({ length: 1500 }, (_, index) => `X-${index}: y`);
    const { replies } = await stage.converse(get('/c/me', ...lines, 'Authorization: alice'));
    expect(replies.map((reply) => reply.text)).toEqual(['alice']);
    expect(await stage.stored()).toEqual([]);
    const more = Array.from({ length: 2100 }, (_, index) => `X-${index}: y`);
    const refused = await stage.converse(get('/c/me', ...more, 'Authorization: alice'));
    expect(refused.replies.map((reply) => reply.status)).toEqual([431]);
  });
});

/** Answers with fields that are one caller's. */
const personal: OriginScript = (request, peer) =>
  peer.respond(
    200,
    {
      'Cache-Control': 'public, max-age=600',
      'Set-Cookie': ['session=alice; HttpOnly', 'b=c'],
      'Set-Cookie2': 'old=alice',
      'X-RateLimit-Remaining': '7',
      RateLimit: '"a";r=7',
      Connection: 'X-Hop',
      'X-Hop': 'alice',
      'Proxy-Authenticate': 'Basic realm=alice',
      'Keep-Alive': 'timeout=1',
      'X-Request-Id': 'alice-1',
    },
    request.target,
  );

describe('Leaks between callers: what upstream says to one of them', () => {
  it.each(['c', 'cap', 'h'])(
    'Set-Cookie, quotas and hop-by-hop fields on /%s → in no answer from store',
    async (route) => {
      await using stage = await startStage({ routes, script: personal });
      await stage.converse(get(`/${route}/x`));
      const [second] = (await stage.converse(get(`/${route}/x`))).replies;
      expect(second?.field('cache-status')).toContain('forecache; hit');
      expect(second?.head).not.toMatch(/set-cookie|ratelimit|x-hop|proxy-authenticate|keep-alive/i);
      expect(stage.asked()).toHaveLength(1);
    },
  );

  it('an answer that is no-store or private, asked for by ten at once → each has an upstream call of its own', async () => {
    for (const line of ['no-store', 'private', 'private, max-age=600', 'no-store, max-age=600']) {
      let calls = 0;
      const gate = Promise.withResolvers<void>();
      await using stage = await startStage({
        routes,
        script: gated(gate.promise, (_request, peer) => {
          calls += 1;
          return peer.respond(200, { 'Cache-Control': line }, `call ${calls}`);
        }),
      });
      const asked = Array.from({ length: 10 }, () => stage.converse(get('/h/x')));
      await stage.origin.arrived(1);
      gate.resolve();
      const texts = (await Promise.all(asked)).map(({ replies }) => replies[0]?.text);
      expect(new Set(texts).size).toBe(10);
      expect(stage.asked()).toHaveLength(10);
      expect(await stage.stored()).toEqual([]);
    }
  });
});

/** Everything that a client sends goes upstream, cookies too. */
const open = `
  - { name: open, match: /o/*, upstream: api, upstreamCacheControl: honour, forwardHeaders: ["*", cookie] }`;

/**
 * The conversations of callers of /o/x who all come before upstream answers the first of them. Each sends these lines.
 */
async function atOnce(script: OriginScript, ...callers: readonly (readonly string[])[]) {
  const gate = Promise.withResolvers<void>();
  await using stage = await startStage({ routes: open, script: gated(gate.promise, script) });
  const asked = [];
  for (const [index, lines] of callers.entries()) {
    asked.push(stage.converse(get('/o/x', ...lines)));
    await expect
      .poll(async () => String((await stage.call('GET', '/metrics')).body))
      .toContain(`\nforecache_requests_in_flight ${index + 1}\n`);
  }
  await stage.origin.arrived(1);
  gate.resolve();
  return { answers: await Promise.all(asked), calls: stage.asked().length };
}

const alice = ['Cookie: sid=alice'];
const bob = ['Cookie: sid=bob'];

describe('Leaks between callers: who waits for the fetch of another', () => {
  it.each(['no-cache', 'max-age=0, must-revalidate', 'max-age=0'])(
    'an answer with %s and an ETag, asked for by three at once → each has its own',
    async (line) => {
      const script: OriginScript = (request, peer) => {
        const who = request.field('cookie') ?? 'nobody';
        return peer.respond(200, { 'Cache-Control': line, ETag: `"${who}"` }, who);
      };
      const { answers } = await atOnce(script, alice, bob, []);
      expect(answers.map(({ replies }) => replies[0]?.text)).toEqual(['sid=alice', 'sid=bob', 'nobody']);
    },
  );

  it('an answer to one with Authorization that says must-revalidate and no lifetime → not for the one without', async () => {
    const { answers } = await atOnce(
      (request, peer) =>
        request.field('authorization') === undefined
          ? peer.respond(401, { 'WWW-Authenticate': 'Basic' }, 'no')
          : peer.respond(200, { 'Cache-Control': 'must-revalidate, max-age=0', ETag: '"v"' }, 'secret'),
      ['Authorization: Basic YQ=='],
      [],
    );
    expect(answers.map(({ replies }) => replies[0]?.text)).toEqual(['secret', 'no']);
  });

  it('interim answers to the call of one of two → heard by that one alone', async () => {
    const { answers, calls } = await atOnce(
      async (request, peer) => {
        await peer.write(`HTTP/1.1 103 Early Hints\r\nLink: </of/${request.field('cookie')}>\r\n\r\n`);
        await peer.respond(200, { 'Cache-Control': 'max-age=60' }, 'for all');
      },
      alice,
      bob,
    );
    expect(answers.map(({ replies }) => replies[0]?.text)).toEqual(['for all', 'for all']);
    expect(answers.map(({ interim }) => interim.map(({ lines }) => lines))).toEqual([
      [[['link', '</of/sid=alice>']]],
      [],
    ]);
    expect(calls).toBe(1);
  });

  it('Set-Cookie and quota in an answer that several get → in that to the one whose request went upstream', async () => {
    const { answers, calls } = await atOnce(personal, alice, bob);
    expect(calls).toBe(1);
    const heads = answers.map(({ replies }) => replies[0]?.head ?? '');
    expect(heads[0]).toMatch(/^set-cookie: session=alice/im);
    expect(heads[0]).toMatch(/^ratelimit: /im);
    expect(heads[1]).not.toMatch(/set-cookie|ratelimit/i);
  });

  it('a field at which upstream breaks off, sent by the first of two → 502 for that one alone', async () => {
    const { answers } = await atOnce(
      (request, peer) =>
        request.field('x-bad') === undefined
          ? peer.respond(200, { 'Cache-Control': 'max-age=60' }, 'fine')
          : peer.reset(),
      ['X-Bad: 1'],
      [],
    );
    expect(answers.map(({ replies }) => replies[0]?.status)).toEqual([502, 200]);
  });
});

describe('Leaks of the proxy’s own credentials', () => {
  const secrets = { KEY: 'k3y-s3cr3t/+=', TOKEN: 't0k3n-s3cr3t' };
  const credentials =
    'credentials: { query: { apikey: "${KEY}" }, headers: { x-token: "${TOKEN}", authorization: "Bearer ${TOKEN}" } }';
  const forms = /k3y-s3cr3t|t0k3n-s3cr3t/;

  it('a client’s own key under the same name, in any case or encoding → dropped, ours in its place', async () => {
    await using stage = await startStage({ routes, upstream: credentials, env: secrets });
    const own = `apikey=${encodeURIComponent(secrets.KEY)}`;
    for (const route of ['c', 'h', 'r']) {
      for (const query of [
        'apikey=mine',
        'APIKEY=mine',
        '%61pikey=mine',
        'a=1&ApiKey=mine&apikey=mine',
        'a=1;apikey=mine',
      ]) {
        await stage.converse(
          get(`/${route}/${encodeURIComponent(query)}?${query}`, 'X-Token: mine', 'Authorization: mine'),
        );
      }
    }
    expect(stage.origin.requests.length).toBeGreaterThan(12);
    for (const request of stage.origin.requests) {
      const [, query = ''] = request.target.split('?');
      expect(query.split('&')).toContain(own);
      expect(query.replace(own, '')).not.toContain('apikey=mine');
      expect(
        request.lines
          .filter(([name]) => /^(?:x-token|authorization)$/i.test(name))
          .map((line) => line[1])
          .toSorted(),
      ).toEqual([`Bearer ${secrets.TOKEN}`, secrets.TOKEN]);
    }
  });

  it('an upstream that echoes them in fields, redirects and bodies → masked for everybody, everywhere', async () => {
    await using stage = await startStage({
      routes,
      upstream: credentials,
      env: secrets,
      script: (request, peer) => {
        const status = Number(/s=(\d+)/.exec(request.target)?.[1] ?? '200');
        return peer.respond(
          status,
          {
            Location: `/c/next?${request.target.split('?')[1] ?? ''}`,
            'Content-Type': 'application/json',
            'X-Cache-Key': request.target,
            'X-Echo': `${request.field('x-token') ?? ''} ${request.field('authorization') ?? ''}`,
            'Cache-Control': 'max-age=600',
          },
          JSON.stringify({ cod: status, asked: request.target, head: request.rawHead }),
        );
      },
    });
    for (const route of ['c', 'h', 'r']) {
      for (const status of [200, 302, 400, 401, 404, 500]) {
        for (const turn of ['first', 'second']) {
          const { replies } = await stage.converse(get(`/${route}/x?s=${status}`));
          expect([turn, replies.map((reply) => reply.status)]).toEqual([turn, [status]]);
          expect(replies[0]?.head).not.toMatch(forms);
          expect(decodeURIComponent(replies[0]?.head ?? '')).not.toMatch(forms);
          expect(replies[0]?.text).not.toMatch(forms);
        }
      }
    }
    for (const [method, path, body] of [
      ['GET', '/api/stored', undefined],
      ['GET', '/metrics', undefined],
      ['GET', '/api/metrics/cache', undefined],
      ['POST', '/api/explain', { url: '/c/x?s=200&apikey=mine' }],
      ['POST', '/api/purge', { url: `/c/x?apikey=${secrets.KEY}`, dryRun: true }],
    ] as const) {
      const answer = await stage.call(method, path, body);
      expect([path, answer.status]).toEqual([path, 200]);
      expect(JSON.stringify(answer.body)).not.toMatch(forms);
    }
    await stage.sound();
  });

  it('TRACE, which would echo them → 405', async () => {
    await using stage = await startStage({ routes, upstream: credentials, env: secrets });
    const { replies } = await stage.converse(head('TRACE /r/x HTTP/1.1', 'Host: a', 'Connection: close'));
    expect(replies.map((reply) => reply.status)).toEqual([405]);
    expect(stage.asked()).toEqual([]);
  });

  it('a secret parameter of a route, given in every spelling → in no key, listing or upstream request', async () => {
    await using stage = await startStage({
      routes: '  - { name: ruled, match: /c/*, upstream: api, ttl: 10m, secret: [token], headers: [x-api-key] }',
    });
    const queries = ['token=s3cr3t&a=1', 'a=1&TOKEN=s3cr3t', '%74oken=s3cr3t&a=1', 'a=1&token=s3cr3t&token=s3cr3t'];
    for (const query of queries) {
      const { replies } = await stage.converse(get(`/c/x?${query}`, 'X-Api-Key: s3cr3t'));
      expect(replies[0]?.text).toBe(told('GET', '/c/x?a=1'));
    }
    expect(stage.asked()).toEqual(['/c/x?a=1']);
    expect(JSON.stringify((await stage.call('GET', '/api/stored')).body)).not.toContain('s3cr3t');
  });
});
