import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, expect, it, onTestFinished, vi } from 'vitest';

import { KnownTargets } from '../../src/server/fast-lane-targets.ts';
import { FakeClock } from '../support/clock.ts';
import { ParsedRequests, read, warm } from '../support/fast-lane.ts';
import { head, type Stage, startStage, type StageOptions } from '../support/hostile.ts';
import { limitHits, outcomes, samples } from '../support/metrics.ts';
import { huge, startOrigin } from '../support/origin.ts';
import { startTestProxy } from '../support/proxy.ts';
import { openRaw, type RawConnection, type RawReply } from '../support/raw.ts';
import { startRedis } from '../support/redis.ts';

const host = 'Host: api.test';
const plain = (target: string, ...lines: readonly string[]): string => head(`GET ${target} HTTP/1.1`, host, ...lines);

/** `/s` keeps apart what `q` says and drops all else, so that one answer has any number of spellings. */
const spelt = `
  - { name: spelt, match: /s, upstream: api, ttl: 10m, query: { q: { type: text } }, unknownQuery: drop }
  - { name: ruled, match: /c/*, upstream: api, ttl: 10m }
  - { name: honoured, match: /h/*, upstream: api, upstreamCacheControl: honour }
  - { name: keyed, match: /k, upstream: api, ttl: 10m, query: { q: { type: text } }, unknownQuery: drop, headers: [x-tenant, authorization] }
  - { name: relayed, match: /r/*, upstream: api, cache: off }`;

let spellings = 0;

/** A target that nobody has sent before, of the answer to `q`. */
function fresh(q = 'a', path = '/s'): string {
  spellings += 1;
  return `${path}?x=${spellings}&q=${q}`;
}

interface Asked extends RawReply {
  readonly parsed: number;
}

interface Scene {
  readonly stage: Stage;
  readonly parsed: ParsedRequests;
  /** Sends the piece and gives the next answer, and how many requests were parsed meanwhile. */
  readonly ask: (connection: RawConnection, piece: string, method?: string) => Promise<Asked>;
  /** A connection on which a head with these lines behind its target is answered whatever target it has. */
  readonly ready: (...lines: readonly string[]) => Promise<RawConnection>;
}

async function scene(options: StageOptions = {}): Promise<Scene> {
  const stage = await startStage({ routes: spelt, ...options });
  const parsed = new ParsedRequests(stage.url);
  onTestFinished(async () => {
    parsed[Symbol.dispose]();
    await stage[Symbol.asyncDispose]();
  });
  return {
    stage,
    parsed,
    async ask(connection, piece, method) {
      const before = parsed.count;
      await connection.send(piece);
      const reply = await connection.reply(method);
      return { ...reply, parsed: parsed.count - before };
    },
    async ready(...lines) {
      const connection = await openRaw(stage.url);
      onTestFinished(() => connection[Symbol.dispose]());
      await warm(connection, parsed, plain('/s?q=a', ...lines));
      return connection;
    },
  };
}

const targets = async (stage: Stage): Promise<number> =>
  (await samples(stage.admin)).get('forecache_fast_lane_targets_total') ?? Number.NaN;
const inFlight = async (stage: Stage): Promise<number | undefined> =>
  (await samples(stage.admin)).get('forecache_requests_in_flight');

/** All samples of a family, added up. */
const sum = (of: ReadonlyMap<string, number>, family: string): number =>
  [...of].filter(([name]) => name.startsWith(family)).reduce((total, [, value]) => total + value, 0);

/** Without dates of answers of the proxy's own, which tell the time of day. */
const undated = (received: Buffer): string => received.toString('latin1').replaceAll(/\r\ndate: [^\r]*/gi, '');

/** What comes for the head, if anything does. */
async function answerTo(connection: RawConnection, sent: Buffer): Promise<string> {
  await connection.send(sent);
  try {
    const reply = await connection.reply();
    return undated(Buffer.from(reply.head + reply.text));
  } catch (error) {
    if (error instanceof Error && error.message.startsWith('ended by')) return 'the end';
    throw error;
  }
}

const echoTarget: StageOptions['script'] = (request, peer) => peer.respond(200, {}, request.target);

describe('A head that differs from a known one in its target alone', () => {
  it('is answered without being parsed, with the very bytes that node:http sends', async () => {
    const { stage, ask, ready } = await scene({ clock: new FakeClock() });
    const connection = await ready();
    const fast = await ask(connection, plain(fresh()));
    expect(fast.parsed).toBe(0);
    // A first request is parsed.
    using first = await stage.open();
    const slow = await ask(first, plain(fresh()));
    expect(slow.parsed).toBe(1);
    expect(fast.head).toBe(slow.head);
    expect(fast.body.equals(slow.body)).toBe(true);
    expect(fast.field('cache-status')).toContain('hit');
  });

  it.each([0, 1, 2047, 2048, 2049, 16_384, 16_385, 300_000])(
    'has content of %i bytes whole, as node:http sends it',
    async (length) => {
      const { stage, ask, ready } = await scene({
        clock: new FakeClock(),
        script: (_request, peer) => peer.respond(200, {}, Buffer.alloc(length, 'é', 'latin1')),
      });
      const connection = await ready();
      const fast = await ask(connection, plain(fresh()));
      using first = await stage.open();
      const slow = await ask(first, plain(fresh()));
      expect([fast.parsed, slow.parsed, fast.body.length]).toEqual([0, 1, length]);
      expect([fast.head, fast.body.equals(slow.body)]).toEqual([slow.head, true]);
    },
  );

  it('is answered so, and counted, where more is asked for than memory keeps unpacked, on new connections too', async () => {
    const { stage, ask, ready, parsed } = await scene({
      clock: new FakeClock(),
      more: 'store: { memory: { maxBytes: 1MiB } }',
      script: (_request, peer) => peer.respond(200, {}, Buffer.alloc(1000, 'é', 'latin1')),
    });
    const connection = await ready();
    const bodies = new Set<string>();
    for (let stored = 0; stored < 200; stored += 1) await ask(connection, plain(fresh(`many${stored}`)));
    const [before, all, counted] = [await outcomes(stage.admin), parsed.count, await targets(stage)];
    for (let stored = 0; stored < 200; stored += 1) {
      const fast = await ask(connection, plain(fresh(`many${stored}`)));
      bodies.add(fast.head + fast.text);
    }
    expect(parsed.count).toBe(all);
    expect(bodies.size).toBe(1);
    expect(await outcomes(stage.admin)).toEqual({ ...before, hit: (before['hit'] ?? 0) + 200 });
    expect(await targets(stage)).toBe(counted + 200);
    using first = await stage.open();
    const slow = await ask(first, plain(fresh('many199')));
    expect([...bodies]).toEqual([slow.head + slow.text]);
    // On a new connection as soon as on any other.
    let slowly = 0;
    for (let stored = 0; stored < 100; stored += 1) slowly += (await ask(first, plain(fresh(`many${stored}`)))).parsed;
    expect(slowly).toBeLessThan(5);
  });

  it('is counted once: as a request, as a hit, with its bytes, and as one with a new target', async () => {
    const { stage, ask, ready, parsed } = await scene();
    const connection = await ready();
    const before = [await outcomes(stage.admin), await targets(stage)] as const;
    const [all, counted] = [parsed.count, await samples(stage.admin)];
    let bytes = 0;
    for (let round = 0; round < 25; round += 1) bytes += (await ask(connection, plain(fresh()))).body.length;
    expect(parsed.count).toBe(all);
    expect(await outcomes(stage.admin)).toEqual({ ...before[0], hit: (before[0]['hit'] ?? 0) + 25 });
    expect(await targets(stage)).toBe(before[1] + 25);
    const now = await samples(stage.admin);
    const family = 'forecache_sent_bytes_total';
    expect(sum(now, family) - sum(counted, family)).toBe(bytes);
    expect(bytes).toBeGreaterThan(0);
    const { body } = await stage.call('GET', '/api/stored?limit=10');
    expect(body).toMatchObject({ stored: [{ hits: (await outcomes(stage.admin))['hit'] }] });
    expect(now.get('forecache_requests_in_flight')).toBe(0);
  });

  it('is known by its very bytes once it recurs', async () => {
    const { stage, ask, ready } = await scene();
    const connection = await ready();
    const one = plain(fresh());
    const before = await targets(stage);
    for (let round = 0; round < 10; round += 1) expect((await ask(connection, one)).parsed).toBe(0);
    expect((await targets(stage)) - before).toBe(2);
  });

  it('is parsed with server.fastLane: false', async () => {
    const { stage, ask } = await scene({ server: 'fastLane: false' });
    using connection = await stage.open();
    for (let round = 0; round < 12; round += 1) expect((await ask(connection, plain(fresh()))).parsed).toBe(1);
    expect(await targets(stage)).toBe(0);
  });

  it('is answered so on a connection on which no target ever recurs', async () => {
    const { stage, ask } = await scene();
    using connection = await stage.open();
    const rounds: number[] = [];
    for (let round = 0; round < 12; round += 1) rounds.push((await ask(connection, plain(fresh()))).parsed);
    expect(rounds.slice(-6)).toEqual([0, 0, 0, 0, 0, 0]);
  });

  it('that comes in two chunks is parsed, at whatever byte it is cut', async () => {
    const { ask, ready, parsed } = await scene();
    const connection = await ready();
    const { length } = plain(fresh());
    for (let cut = 1; cut < length; cut += 1) {
      const one = plain(fresh());
      const before = parsed.count;
      await connection.send(one.slice(0, cut));
      await read();
      const reply = await ask(connection, one.slice(cut));
      expect([cut, reply.status, reply.text]).toEqual([cut, 200, '{"method":"GET","target":"/s?q=a"}']);
      expect(parsed.count - before).toBe(1);
      // Behind a chunk that does not begin with a method nothing is known of where the parser is; behind the next one it is.
      await ask(connection, plain(fresh()));
      expect((await ask(connection, plain(fresh()))).parsed).toBe(0);
    }
  });

  it('with others in one chunk is parsed, and all are answered in order, wherever two chunks of them are cut', async () => {
    const { ready, parsed, ask } = await scene();
    const connection = await ready();
    for (const q of ['b', 'c']) await ask(connection, plain(fresh(q)));
    const { length } = plain(fresh('b')) + plain(fresh('c'));
    for (let cut = 1; cut <= length; cut += 1) {
      const both = plain(fresh('b')) + plain(fresh('c'));
      const before = parsed.count;
      await connection.send(both.slice(0, cut));
      await read();
      if (cut < both.length) await connection.send(both.slice(cut));
      expect([cut, (await connection.reply()).text]).toEqual([cut, '{"method":"GET","target":"/s?q=b"}']);
      expect([cut, (await connection.reply()).text]).toEqual([cut, '{"method":"GET","target":"/s?q=c"}']);
      expect(parsed.count - before).toBeGreaterThan(0);
      await read();
      expect(connection.received.length).toBe(0);
    }
  });

  it('that came twice in one chunk, again and again, is learnt of none of them', async () => {
    const { ask, ready } = await scene();
    const connection = await ready();
    const twice = plain('/s?q=a', 'x-twice: 1').repeat(2);
    for (let round = 0; round < 12; round += 1) {
      // Behind it the parser is between two messages, where a chunk is looked at.
      const alone = await ask(connection, plain(fresh()));
      const both = await ask(connection, twice);
      expect([alone.status, both.status, both.parsed]).toEqual([200, 200, 2]);
      expect((await connection.reply()).text).toBe(both.text);
    }
    expect(connection.received.length).toBe(0);
  });

  it.each([
    ['of HTTP/1.0', plain(fresh()).replace('/1.1', '/1.0')],
    ['of HTTP/1.2', plain(fresh()).replace('/1.1', '/1.2')],
    ['of HTTP/0.9', 'GET /s?q=a&x=0.9\r\n\r\n'],
    ['of a lower-case method', plain(fresh()).replace('GET', 'get')],
    ['of HEAD', plain(fresh()).replace('GET', 'HEAD')],
    ['of POST', plain('/r/post').replace('GET', 'POST')],
    ['of CONNECT', plain('api.test:80').replace('GET', 'CONNECT')],
    ['of OPTIONS *', plain('*').replace('GET', 'OPTIONS')],
    ['of *', plain('*')],
    ['in absolute-form', plain(`http://api.test${fresh()}`)],
    ['in authority-form', plain('api.test:80')],
    ['without a slash', plain('s?q=a&x=no')],
    ['without a target', 'GET  HTTP/1.1\r\nHost: api.test\r\n\r\n'],
    ['with two spaces before it', plain(` ${fresh()}`)],
    ['with two spaces behind it', plain(`${fresh()} `)],
    ['with a tab before it', plain(fresh()).replace('GET ', 'GET\t')],
    ['with a tab behind it', plain(fresh()).replace(' HTTP', '\tHTTP')],
    ['with a fragment', plain(`${fresh()}#a`)],
    ['with two slashes in front', plain(`/${fresh()}`)],
    ['with a dot segment', plain(`/s/..${fresh()}`)],
    ['with an encoded dot segment', plain(`/c/%2e%2e${fresh()}`)],
    ['with an escape that is none', plain('/c/%zz')],
    ['with a character that no path has', plain('/c/{a}')],
    ['with a head within its target', plain(`/s?q=a HTTP/1.1\r\n${host}\r\n\r\nGET /c/x`)],
    ['with an LF in its target', plain('/s?q=a\n&x=1')],
    ['behind an empty line', `\r\n${plain(fresh())}`],
    ['in lines that end with a bare LF', plain(fresh()).replaceAll('\r\n', '\n')],
    ['and a line more', plain(fresh(), 'X-More: 1')],
    ['and spelt in another case', plain(fresh()).replace('Host', 'HOST')],
    ['and announces content', plain(fresh(), 'Content-Length: 3')],
    ['and ends the connection', plain(fresh(), 'Connection: close')],
    ['and offers an upgrade', plain(fresh(), 'Upgrade: h2c')],
    ['and expects to go on', plain(fresh(), 'Expect: 100-continue')],
    ['and asks for a part', plain(fresh(), 'Range: bytes=0-3')],
    ['and asks for what is new', plain(fresh(), 'If-None-Match: "x"')],
  ])('%s is the parser’s, which answers as ever', async (_what, odd) => {
    const clock = new FakeClock();
    const [fast, slow] = [await scene({ clock }), await scene({ clock, server: 'fastLane: false' })];
    const connection = await fast.ready();
    using other = await slow.stage.open();
    await slow.ask(other, plain('/s?q=a'));
    const before = await targets(fast.stage);
    for (const one of [connection, other]) await one.send(odd);
    await read();
    // A client that has ended gets no more of what it has asked for.
    for (const { stage } of [fast, slow]) await expect.poll(() => inFlight(stage)).toBe(0);
    await read();
    // Ends what is not whole, and shows what is left.
    for (const one of [connection, other]) one.socket.end('\r\n\r\n');
    await connection.ended();
    await other.ended();
    expect(undated(connection.received)).toBe(undated(other.received));
    expect(await targets(fast.stage)).toBe(before);
    expect(fast.stage.asked().slice(1)).toEqual(slow.stage.asked().slice(1));
  });

  it('gets what the parser would have led to, whichever byte stands at whichever place of the target', async () => {
    const clock = new FakeClock();
    const fast = await scene({ clock, script: echoTarget });
    const slow = await scene({ clock, script: echoTarget, server: 'fastLane: false' });
    let taken = 0;
    for (const place of ['|/c/b?x=', '/|c/b?x=', '/c/|b?x=', '/c/b|?x=', '/c/b?|x=', '/c/b?x=|']) {
      for (let byte = 0; byte < 256; byte += 1) {
        const target = place.replace('|', () => String.fromCharCode(byte));
        const [connection, other] = [await openRaw(fast.stage.url), await openRaw(slow.stage.url)];
        await warm(connection, fast.parsed, plain('/c/known'));
        await fast.ask(connection, plain('/c/b?x='));
        await slow.ask(other, plain('/c/b?x='));
        const before = [fast.parsed.count, slow.parsed.count] as const;
        const answers: (readonly string[])[] = [];
        for (const one of [connection, other]) {
          // Twice: as a miss, where it is none that was refused, and as a hit.
          const sent = Buffer.from(plain(target), 'latin1');
          answers.push([await answerTo(one, sent), await answerTo(one, sent)]);
        }
        expect([place, byte, answers[0]]).toEqual([place, byte, answers[1]]);
        taken += slow.parsed.count - before[1] - (fast.parsed.count - before[0]);
        connection[Symbol.dispose]();
        other[Symbol.dispose]();
      }
    }
    expect(fast.stage.asked().filter((target) => target !== '/c/known')).toEqual(slow.stage.asked());
    // Whatever is a path or a query.
    expect(taken).toBeGreaterThan(300);
    expect(await targets(fast.stage)).toBeGreaterThan(300);
  }, 120_000);
});

describe('What keys a request', () => {
  it('behind its target is told apart for any target', async () => {
    const { ask, ready } = await scene({
      script: (request, peer) =>
        peer.respond(200, {}, `${String(request.field('x-tenant'))} ${String(request.field('authorization'))}`),
    });
    const users = ['a', 'b'].flatMap((tenant) =>
      ['one', 'two'].map((user) => [
        `X-Tenant: ${tenant}`,
        `Authorization: Bearer ${user}`,
        `${tenant} Bearer ${user}`,
      ]),
    );
    const connections: RawConnection[] = [];
    for (const [tenant = '', user = ''] of users) {
      const connection = await openRawOn(ready, tenant);
      for (let round = 0; round < 8; round += 1) await ask(connection, plain(fresh('a', '/k'), tenant, user));
      connections.push(connection);
    }
    for (let round = 0; round < 5; round += 1) {
      for (const connection of connections) {
        for (const [tenant = '', user = '', answer] of users) {
          const reply = await ask(connection, plain(fresh('a', '/k'), tenant, user));
          expect([reply.parsed, reply.text]).toEqual([0, answer]);
        }
      }
    }
    // Nobody gets another's by a credential that is not quite there.
    const [connection] = connections;
    if (connection === undefined) throw new Error('none');
    const reply = await ask(connection, plain(fresh('a', '/k'), 'X-Tenant: a', 'Authorization: Bearer on'));
    expect([reply.parsed, reply.text]).toEqual([1, 'a Bearer on']);
  });
});

/** Whoever has a credential that `/s` does not key is relayed there: by its tenant alone it is not. */
function openRawOn(ready: Scene['ready'], tenant: string): Promise<RawConnection> {
  return ready(tenant);
}

describe('What is stored', () => {
  it('and purged between two requests is fetched anew', async () => {
    const { stage, ask, ready } = await scene();
    const connection = await ready();
    await stage.call('POST', '/api/purge', { all: true });
    const reply = await ask(connection, plain(fresh()));
    expect([reply.parsed, reply.field('cache-status')]).toEqual([0, 'forecache; fwd=uri-miss; stored']);
    expect((await ask(connection, plain(fresh()))).parsed).toBe(0);
    expect(stage.asked()).toHaveLength(2);
  });

  it('is told with its age as seconds pass, and fetched anew when it has expired', async () => {
    const clock = new FakeClock();
    const { stage, ask, ready } = await scene({ clock });
    const connection = await ready();
    for (let seconds = 97; seconds < 500; seconds += 97) {
      clock.advance(97_000);
      const reply = await ask(connection, plain(fresh()));
      expect([reply.parsed, reply.field('age')]).toEqual([0, String(seconds)]);
      expect(reply.field('cache-status')).toContain(`ttl=${600 - seconds}`);
    }
    clock.advance(600_000);
    expect((await ask(connection, plain(fresh()))).parsed).toBe(0);
    expect(stage.asked()).toHaveLength(2);
  });
});

describe('What the memory cannot answer at once', () => {
  it('is begun once, and answered as ever: a miss', async () => {
    const { stage, ask, ready } = await scene();
    const connection = await ready();
    const before = await outcomes(stage.admin);
    for (let round = 0; round < 10; round += 1) {
      const reply = await ask(connection, plain(fresh(`miss${round}`)));
      expect([reply.parsed, reply.field('cache-status')]).toEqual([0, 'forecache; fwd=uri-miss; stored']);
    }
    expect(stage.asked().slice(1)).toEqual(Array.from({ length: 10 }, (_none, index) => `/s?q=miss${index}`));
    expect(await outcomes(stage.admin)).toEqual({ ...before, miss: 11 });
    expect(await inFlight(stage)).toBe(0);
  });

  it('is begun once, and answered as ever: a relay, no route, a refused parameter', async () => {
    const { stage, ask, ready } = await scene({
      routes: `${spelt}
  - { name: strict, match: /n, upstream: api, ttl: 10m, query: { n: { type: integer } }, unknownQuery: reject }`,
    });
    const connection = await ready();
    const before = await outcomes(stage.admin);
    const replies: (readonly [number, number])[] = [];
    for (const target of ['/r/a', '/none', '/n?n=x', '/n?m=1']) {
      const { status, parsed } = await ask(connection, plain(target));
      replies.push([status, parsed]);
    }
    expect(replies).toEqual([
      [200, 1],
      [404, 1],
      [400, 1],
      [400, 1],
    ]);
    expect(stage.asked().slice(1)).toEqual(['/r/a']);
    expect(await outcomes(stage.admin)).toEqual({ ...before, relayed: 1, rejected: 3 });
    expect((await ask(connection, plain(fresh()))).parsed).toBe(0);
  });

  it('is told of with its interim responses before it', async () => {
    const { ask, ready } = await scene({
      script: async (request, peer) => {
        if (request.target.startsWith('/h/')) await peer.write('HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n');
        await peer.respond(200, { 'Cache-Control': 'max-age=60' }, request.target);
      },
    });
    const connection = await ready();
    const before = connection.received.length;
    expect(before).toBe(0);
    await connection.send(plain('/h/early'));
    await expect.poll(() => connection.received.toString()).toContain('/h/early');
    expect(connection.received.toString()).toMatch(
      /^HTTP\/1\.1 103 Early Hints\r\nlink: <\/a\.css>\r\n\r\nHTTP\/1\.1 200 OK\r\n/i,
    );
    // And from memory without them.
    await connection.reply();
    const reply = await ask(connection, plain('/h/early?'));
    expect(reply.status).toBe(200);
  });

  it('is validated once where it has become stale', async () => {
    const clock = new FakeClock();
    const { stage, ask, ready } = await scene({
      clock,
      script: (request, peer) =>
        request.field('if-none-match') === '"1"'
          ? peer.respond(304, { ETag: '"1"', 'Cache-Control': 'max-age=60' })
          : peer.respond(200, { ETag: '"1"', 'Cache-Control': 'max-age=60' }, 'one'),
    });
    const connection = await ready();
    await ask(connection, plain('/h/a'));
    clock.advance(61_000);
    const reply = await ask(connection, plain('/h/a'));
    expect([reply.parsed, reply.status, reply.text]).toEqual([0, 200, 'one']);
    expect(stage.asked().filter((target) => target === '/h/a')).toHaveLength(2);
  });

  it('is looked up once in Redis, and asked of upstream once when Redis is gone', { timeout: 30_000 }, async () => {
    await using stack = new AsyncDisposableStack();
    const redis = stack.use(await startRedis());
    const origin = stack.use(await startOrigin((request, peer) => peer.respond(200, {}, request.target)));
    const yaml = `
server: { listen: 127.0.0.1:0 }
admin: { listen: 127.0.0.1:0 }
log: { level: silent }
store: { redis: { url: "${redis.url}", timeout: 5s } }
upstreams: { api: { origin: "${origin.url}", timeout: 5s } }
routes:${spelt}`;
    const [filling, asking] = [stack.use(await startTestProxy({ yaml })), stack.use(await startTestProxy({ yaml }))];
    const parsed = stack.use(new ParsedRequests(asking.origin));
    const connection = stack.use(await openRaw(asking.origin));
    const asked = async (q: string): Promise<Asked> => {
      const before = parsed.count;
      await connection.send(plain(fresh(q)));
      return { ...(await connection.reply()), parsed: parsed.count - before };
    };
    await warm(connection, parsed, plain('/s?q=a'));
    await expect
      .poll(async () => (await filling.get(fresh('shared'))).cacheStatus, { timeout: 10_000 })
      .toContain('hit');
    const remembered = vi.spyOn(KnownTargets.prototype, 'remember');
    stack.defer(() => remembered.mockRestore());
    // What upstream is asked for is not.
    expect([(await asked('missed')).parsed, remembered.mock.calls.length]).toEqual([0, 0]);
    const calls = origin.requests.length;
    const late = await asked('shared');
    expect(remembered.mock.calls.map(([, target]) => target)).toEqual([expect.stringContaining('q=shared')]);
    expect([late.parsed, late.text]).toEqual([0, '/s?q=shared']);
    expect(late.field('cache-status')).toContain('detail=redis');
    const before = await outcomes(asking.admin);
    // In memory since.
    expect([(await asked('shared')).parsed, origin.requests.length]).toEqual([0, calls]);
    expect(await outcomes(asking.admin)).toEqual({ ...before, hit: (before['hit'] ?? 0) + 1 });
    await redis.kill();
    const wrong: unknown[] = [];
    const leaseless = async (): Promise<string | undefined> => {
      const had = origin.requests.length;
      const one = await asked('shared');
      // From memory, or from upstream by one call.
      const status = one.field('cache-status');
      if (origin.requests.length - had !== (status?.includes('hit') === true ? 0 : 1)) wrong.push(one);
      return status;
    };
    await expect.poll(leaseless, { timeout: 15_000 }).toBe('forecache; fwd=bypass; detail=lease');
    expect(wrong).toEqual([]);
  });

  it(
    'is known by its whole head from then on: behind another tail it is another request',
    { timeout: 30_000 },
    async () => {
      await using stack = new AsyncDisposableStack();
      const redis = stack.use(await startRedis());
      const origin = stack.use(
        await startOrigin((request, peer) =>
          peer.respond(200, {}, `${request.target} ${request.field('x-tenant') ?? '-'}`),
        ),
      );
      const yaml = (keepAlive: string): string => `
server: { listen: 127.0.0.1:0, timeouts: { keepAlive: ${keepAlive} } }
admin: { listen: 127.0.0.1:0 }
log: { level: silent }
store: { redis: { url: "${redis.url}", timeout: 5s } }
upstreams: { api: { origin: "${origin.url}", timeout: 5s } }
routes:${spelt}
  - { name: other, match: /c/*, host: other.test, upstream: api, forward: /other, ttl: 10m }`;
      const start = async (keepAlive: string) => stack.use(await startTestProxy({ yaml: yaml(keepAlive) }));
      const [filling, asking, brief] = [await start('10s'), await start('10s'), await start('1s')];
      await expect.poll(async () => (await filling.get('/c/a')).cacheStatus, { timeout: 10_000 }).toContain('hit');
      const parsed = stack.use(new ParsedRequests(asking.origin));
      const connection = stack.use(await openRaw(asking.origin));
      const heads = (target: string): readonly string[] => [
        plain(target),
        head(`GET ${target} HTTP/1.1`, 'Host: other.test'),
        plain(target, 'X-Tenant: 1'),
        plain(target, 'Authorization: Bearer secret'),
      ];
      for (const one of heads('/c/b').slice(0, 3)) await warm(connection, parsed, one);
      const asked = async (piece: string): Promise<string> => {
        await connection.send(piece);
        return (await connection.reply()).text;
      };
      await connection.send(plain('/c/a'));
      expect((await connection.reply()).field('cache-status')).toContain('detail=redis');
      const onTargets = async (): Promise<number> =>
        (await samples(asking.admin)).get('forecache_fast_lane_targets_total') ?? Number.NaN;
      const before = await onTargets();
      for (let round = 0; round < 3; round += 1) {
        const texts: string[] = [];
        for (const one of heads('/c/a')) texts.push(await asked(one));
        expect(texts).toEqual(['/c/a -', '/other -', '/c/a -', '/c/a -']);
      }
      expect(await onTargets()).toBeGreaterThan(before);
      // Where nobody may wait on the fast lane the parser is given it, and what takes time is promised.
      const short = stack.use(await openRaw(brief.origin));
      const parsedThere = stack.use(new ParsedRequests(brief.origin));
      await warm(short, parsedThere, plain('/c/b'));
      await short.send(plain('/c/a'));
      expect((await short.reply()).text).toBe('/c/a -');
    },
  );

  it('is told as aborted, once, where its client goes meanwhile', async () => {
    const gate = Promise.withResolvers<void>();
    const { stage, ready } = await scene({
      script: async (request, peer) => {
        if (request.target.includes('slow')) await gate.promise;
        await peer.respond(200, {}, request.target);
      },
    });
    const connection = await ready();
    await connection.send(plain(fresh('slow')));
    await stage.origin.arrived(2);
    expect(await inFlight(stage)).toBe(1);
    connection.socket.resetAndDestroy();
    await expect.poll(() => inFlight(stage)).toBe(0);
    gate.resolve();
    await expect.poll(() => outcomes(stage.admin)).toMatchObject({ aborted: 1 });
    await stage.sound();
  });

  it('holds up what comes behind it on its connection', async () => {
    const gate = Promise.withResolvers<void>();
    const { ready, stage, parsed } = await scene({
      script: async (request, peer) => {
        if (request.target.includes('slow')) await gate.promise;
        await peer.respond(200, {}, request.target);
      },
    });
    const connection = await ready();
    const before = parsed.count;
    await connection.send(plain(fresh('slow')));
    await stage.origin.arrived(2);
    await connection.send(plain(fresh()));
    await read();
    expect(connection.received.length).toBe(0);
    gate.resolve();
    expect((await connection.reply()).text).toBe('/s?q=slow');
    expect((await connection.reply()).text).toBe('/s?q=a');
    expect(parsed.count - before).toBe(2);
  });
});

describe('Limits', () => {
  it('a connection serves exactly maxRequestsPerConnection, new targets among them', async () => {
    const { stage, ask, parsed } = await scene({ server: 'limits: { maxRequestsPerConnection: 20 }' });
    using connection = await stage.open();
    let fast = 0;
    for (let count = 1; count <= 20; count += 1) {
      const reply = await ask(connection, plain(fresh()));
      expect([count, reply.field('connection')]).toEqual([count, count === 20 ? 'close' : 'keep-alive']);
      if (reply.parsed === 0) fast += 1;
    }
    expect(fast).toBeGreaterThan(10);
    expect(parsed.count).toBe(20 - fast);
    await connection.ended();
    expect(await limitHits(stage.admin)).toEqual({ 'server.limits.maxRequestsPerConnection': 1 });
  });

  it('a drain ends a connection on which new targets were answered', async () => {
    const { stage, ask, ready } = await scene();
    const connection = await ready();
    expect((await ask(connection, plain(fresh()))).parsed).toBe(0);
    await stage[Symbol.asyncDispose]();
    await connection.ended();
    expect(connection.received.length).toBe(0);
  });

  it('what its client does not take is owed, and cut off at the send timeout', async () => {
    // More than the kernel's buffers of both ends take on loopback.
    const total = 48 * 1024 * 1024;
    const { stage, parsed, ready } = await scene({
      routes: spelt.replace('/c/*, upstream: api, ttl: 10m', '/c/*, upstream: api, ttl: 10m, maxStoredBytes: 64MiB'),
      server: 'timeouts: { send: 500ms }',
      script: (request, peer) =>
        request.target.startsWith('/c/')
          ? huge(total, 'content-length')(request, peer)
          : peer.respond(200, {}, request.target),
    });
    // Stored by one that reads it.
    const reader = connect({ port: Number(new URL(stage.url).port), host: '127.0.0.1' });
    reader.resume().write(plain('/c/huge', 'Connection: close'));
    await once(reader, 'close');
    expect(await stage.stored()).toHaveLength(1);
    const connection = await ready();
    const before = [parsed.count, await targets(stage)] as const;
    connection.socket.pause();
    connection.socket.write(plain('/c/huge'));
    await expect.poll(() => limitHits(stage.admin)).toEqual({ 'server.timeouts.send': 1 });
    await expect.poll(() => outcomes(stage.admin)).toMatchObject({ aborted: 1 });
    expect([parsed.count, await targets(stage)]).toEqual([before[0], before[1] + 1]);
    expect(await inFlight(stage)).toBe(0);
  });
});
