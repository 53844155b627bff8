import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';

import { asHandled, type ClientLink } from '../../src/cache/handled.ts';
import type { ProxyResponse, Repeat, Said } from '../../src/cache/ports.ts';
import type { ServerConfig } from '../../src/core/config.ts';
import type { RequestRecord } from '../../src/core/outcome.ts';
import type { ProxyRequest } from '../../src/core/request.ts';
import { createDataServer } from '../../src/server/data-server.ts';
import type { FastLane } from '../../src/server/fast-lane-entry.ts';
import { idleLoad } from '../../src/server/load.ts';
import { ExchangeHandler } from '../../src/server/request-handler.ts';
import { FakeClock } from '../support/clock.ts';
import { ParsedRequests, warm, warmHead } from '../support/fast-lane.ts';
import { head } from '../support/hostile.ts';
import { openRaw, type RawConnection } from '../support/raw.ts';

const asked = head(
  'GET /a HTTP/1.1',
  'Host: a',
  'traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
);
const nothing = (): void => {};

const config: ServerConfig = {
  listeners: ['one', 'two'].map((name) => ({ name, host: '127.0.0.1', port: 0 })),
  limits: {
    maxHeaderFields: 100,
    maxTargetBytes: 9999,
    maxHeaderBytes: 16_384,
    maxRequestsPerConnection: 0,
    maxPipelined: 8,
    maxHops: 8,
    maxBodyBytes: 10,
    maxContentBytes: 10,
    maxConnections: 10,
  },
  timeouts: { sendMs: 5000, headersMs: 5000, keepAliveMs: 5000, requestMs: 5000 },
  drainDelayMs: 0,
  graceMs: 0,
  fastLane: true,
  workers: 1,
};

/** An answer that says what it is, and may be given again for as long as `may` says so. */
function answer(text: string, may?: () => boolean): ProxyResponse {
  return {
    status: 200,
    fields: [
      ['date', 'Mon, 23 Nov 2026 12:00:00 GMT'],
      ['age', '1'],
      ['content-length', String(text.length)],
      ['cache-status', 'forecache; hit; ttl=5; detail=memory'],
    ],
    body: { kind: 'bytes', bytes: Buffer.from(text) },
    meta: {
      outcome: 'hit',
      route: 'a',
      upstream: 'api',
      tier: 'memory',
      fwd: undefined,
      problem: undefined,
      url: `http://a/${text}`,
    },
    repeat: may && repeatOf(may),
  };
}

/** Of an answer that says the same at any time. */
function repeatOf(may: () => boolean): Repeat {
  return {
    ageLine: 1,
    ttlFrom: 'forecache; hit; ttl='.length,
    madeOf: undefined,
    at: () => ({ ageSeconds: 1, ttlSeconds: 5, sinceMs: 0, untilMs: Infinity, lastMs: Infinity }),
    again: may,
  };
}

interface Rig {
  readonly origins: readonly string[];
  readonly handler: ExchangeHandler;
  readonly records: RequestRecord[];
  readonly bugs: unknown[];
  readonly clock: FakeClock;
  readonly parsed: readonly ParsedRequests[];
  readonly open: (listener?: number) => Promise<RawConnection>;
  readonly say: (connection: RawConnection) => Promise<string>;
}

interface RigOptions {
  readonly handle: (request: ProxyRequest, client?: ClientLink) => ProxyResponse | Promise<ProxyResponse>;
  readonly observe?: (record: RequestRecord) => void;
}

async function rig({ handle, observe }: RigOptions): Promise<Rig> {
  const records: RequestRecord[] = [];
  const bugs: unknown[] = [];
  const clock = new FakeClock();
  const load = idleLoad();
  const ignored = { upstreamCall: nothing, brokenBody: nothing, storage: nothing, purge: nothing, warm: nothing };
  const handler = new ExchangeHandler({
    config,
    handle: (request, client) => {
      const response = handle(request, client);
      return response instanceof Promise ? response.then(asHandled) : asHandled(response);
    },
    relay: { web: () => Promise.reject(new Error('none')), upgrade: () => Promise.reject(new Error('none')) },
    observer: {
      ...ignored,
      request: (record) => {
        records.push(record);
        observe?.(record);
      },
      limit: nothing,
      fleet: nothing,
    },
    clock,
    load,
    onBug: (error) => bugs.push(error),
  });
  const server = createDataServer({ config, handler, load });
  const origins = (await server.listen()).map((bound) => `http://127.0.0.1:${bound.port}`);
  const parsed = origins.map((origin) => new ParsedRequests(origin));
  onTestFinished(async () => {
    for (const one of parsed) one[Symbol.dispose]();
    server.closeNow();
    await server.close();
  });
  return {
    origins,
    handler,
    records,
    bugs,
    clock,
    parsed,
    open: async (listener = 0) => {
      const connection = await openRaw(origins[listener] ?? '');
      onTestFinished(() => connection[Symbol.dispose]());
      return connection;
    },
    say: async (connection) => {
      await connection.send(asked);
      return (await connection.reply()).text;
    },
  };
}

function first<T>(list: readonly T[]): T {
  const [one] = list;
  if (one === undefined) throw new Error('none');
  return one;
}

/** Always the same answer. */
function steady(text: string): ProxyResponse {
  return answer(text, () => true);
}

describe('A request on the fast lane', () => {
  it('is told once, with all that the parser’s are told with', async () => {
    const response = steady('known');
    const { open, say, records, parsed } = await rig({ handle: () => response });
    const connection = await open();
    await warm(connection, first(parsed), asked);
    records.length = 0;
    const before = first(parsed).count;
    await say(connection);
    expect(first(parsed).count).toBe(before);
    const [fast] = records;
    expect(records).toHaveLength(1);
    // A first request is parsed.
    await say(await open());
    await expect.poll(() => records).toHaveLength(2);
    expect(records[1]).toEqual(fast);
    expect(fast).toEqual({
      outcome: 'hit',
      method: 'GET',
      route: 'a',
      upstream: 'api',
      tier: 'memory',
      fwd: undefined,
      status: 200,
      durationMs: 0,
      bytesSent: 5,
      problem: undefined,
      url: 'http://a/known',
      traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
      listener: 'one',
    });
  });

  it('keeps the bytes of its answer as they are for as long as its client takes none of them', async () => {
    let age = 1;
    // More than the kernel takes for a client that reads nothing and has read little before: its buffers grow with what is read.
    const length = 6 * 1024 * 1024;
    const large = answer('x'.repeat(length), () => true);
    let told = 0;
    const now = (): Said => {
      told += 1;
      return { ageSeconds: age, ttlSeconds: 5, sinceMs: 0, untilMs: 0, lastMs: 0 };
    };
    const repeat: Repeat = { ...repeatOf(() => true), at: now };
    const small = steady('small');
    const { open, parsed } = await rig({ handle: ({ path }) => (path === '/a' ? { ...large, repeat } : small) });
    const [connection, other] = [await open(), await open()];
    await warm(connection, first(parsed), asked.replace('/a', '/small'));
    await warmHead(other, first(parsed), asked);
    const before = first(parsed).count;
    connection.socket.pause();
    const asks = told;
    connection.socket.write(asked);
    await expect.poll(() => told).toBe(asks + 1);
    expect(repeat.madeOf).toMatchObject({ isLent: true });
    age = 2;
    other.socket.write(asked);
    await expect.poll(() => told).toBe(asks + 2);
    connection.socket.resume();
    const replies = [await connection.reply(), await other.reply()];
    expect(replies.map((reply) => [reply.field('age'), reply.body.length])).toEqual([
      ['1', length],
      ['2', length],
    ]);
    expect(first(parsed).count).toBe(before);
  });

  it('is looked at anew where its answer may not be given again, and may be later', async () => {
    let isLeased = true;
    let asks = 0;
    const response = answer('kept', () => isLeased);
    const { open, say, parsed } = await rig({
      handle: () => {
        asks += 1;
        return isLeased ? response : answer('anew');
      },
    });
    const connection = await open();
    await warm(connection, first(parsed), asked);
    const before = asks;
    isLeased = false;
    expect(await say(connection)).toBe('anew');
    expect(await say(connection)).toBe('anew');
    expect(asks - before).toBe(2);
    isLeased = true;
    expect(await say(connection)).toBe('kept');
    expect((await warm(connection, first(parsed), asked)).text).toBe('kept');
  });

  it('gets the answer as it is now, and none that may not be given now', async () => {
    let seconds: number | undefined = 8;
    const repeat: Repeat = {
      ...repeatOf(() => true),
      at: () =>
        seconds === undefined
          ? undefined
          : { ageSeconds: seconds, ttlSeconds: 100 - seconds, sinceMs: 0, untilMs: 0, lastMs: 0 },
    };
    let asks = 0;
    const { open, parsed } = await rig({
      handle: () => {
        asks += 1;
        return { ...answer('one', () => true), repeat };
      },
    });
    const connection = await open();
    await warmHead(connection, first(parsed), asked);
    for (seconds of [9, 10, 11, 99, 100, 3]) {
      const before = [first(parsed).count, asks];
      await connection.send(asked);
      const reply = await connection.reply();
      expect([first(parsed).count, asks]).toEqual(before);
      expect([reply.field('age'), reply.field('cache-status'), reply.text]).toEqual([
        String(seconds),
        `forecache; hit; ttl=${100 - seconds}; detail=memory`,
        'one',
      ]);
    }
    seconds = undefined;
    const before = asks;
    await connection.send(asked);
    expect((await connection.reply()).field('age')).toBe('1');
    expect(asks - before).toBe(1);
  });

  it('is parsed where its answer cannot be asked for, and that is heard of', async () => {
    let isBroken = false;
    const response = answer('fine', () => {
      if (isBroken) throw new Error('a bug');
      return true;
    });
    const { open, say, parsed, bugs } = await rig({ handle: () => response });
    const connection = await open();
    await warm(connection, first(parsed), asked);
    isBroken = true;
    expect(await say(connection)).toBe('fine');
    expect(bugs).toEqual([new Error('a bug')]);
  });

  it('is answered once, whatever its observer throws', async () => {
    const response = steady('fine');
    let isBroken = false;
    const { open, say, parsed, bugs } = await rig({
      handle: () => response,
      observe: () => {
        if (isBroken) throw new Error('a full disk');
      },
    });
    const connection = await open();
    await warm(connection, first(parsed), asked);
    isBroken = true;
    expect([await say(connection), await say(connection)]).toEqual(['fine', 'fine']);
    expect(connection.received.length).toBe(0);
    expect(bugs).toHaveLength(2);
  });

  it('is parsed once the server drains, so that its answer closes the connection', async () => {
    const response = steady('last');
    const { open, parsed, handler } = await rig({ handle: () => response });
    const connection = await open();
    await warm(connection, first(parsed), asked);
    handler.beginDrain();
    await connection.send(asked);
    expect((await connection.reply()).field('connection')).toBe('close');
    await connection.ended();
  });

  it('of one listener is no request of another, though its bytes are the same', async () => {
    const { open, parsed } = await rig({ handle: ({ listener }) => steadyOf(listener) });
    const [one, two] = [await open(0), await open(1)];
    for (let round = 0; round < 3; round += 1) {
      expect((await warm(one, first(parsed), asked)).text).toBe('one');
      expect((await warm(two, first(parsed.slice(1)), asked)).text).toBe('two');
    }
  });

  it('that could not be sent as it is stays with the parser', async () => {
    const undated: ProxyResponse = { ...answer('x', () => true), fields: [['content-length', '1']] };
    const response = steady('known');
    const { open, say, parsed } = await rig({ handle: ({ path }) => (path === '/a' ? response : undated) });
    const other = asked.replace('/a', '/b');
    const connection = await open();
    await warm(connection, first(parsed), asked);
    for (let round = 0; round < 12; round += 1) {
      const before = first(parsed).count;
      await connection.send(other);
      expect((await connection.reply()).text).toBe('x');
      expect(first(parsed).count - before).toBe(1);
    }
    expect(await say(connection)).toBe('known');
  });

  it('takes as long as it takes', async () => {
    const { open, say, parsed, records, clock } = await rig({ handle: () => slow });
    const slow = answer('slow', () => {
      clock.advance(7);
      return true;
    });
    const connection = await open();
    await warm(connection, first(parsed), asked);
    records.length = 0;
    await say(connection);
    expect(records.map(({ durationMs }) => durationMs)).toEqual([7]);
  });
});

const ofListeners = new Map(['one', 'two'].map((name) => [name, steady(name)]));

function steadyOf(listener: string): ProxyResponse {
  return ofListeners.get(listener) ?? steady('none');
}

/** What is read on connections of this process while the test lasts: what comes in one turn of the event loop is for the test to say. */
function readHere(): (connection: RawConnection) => (...chunks: readonly string[]) => void {
  const sockets: Socket[] = [];
  const hear = (message: unknown): void => {
    if (typeof message === 'object' && message !== null && 'socket' in message && message.socket instanceof Socket)
      sockets.push(message.socket);
  };
  subscribe('net.server.socket', hear);
  onTestFinished(() => void unsubscribe('net.server.socket', hear));
  return ({ socket: { localPort } }) => {
    const socket = sockets.find(({ remotePort }) => remotePort === localPort);
    if (socket === undefined) throw new Error('none');
    return (...chunks) => {
      for (const chunk of chunks) socket.emit('data', Buffer.from(chunk, 'latin1'));
    };
  };
}

/** More than the kernel takes for a client that reads nothing and has read little before. */
const stuckBytes = 6 * 1024 * 1024;

describe('A request behind a crowd of others in one turn of the event loop', () => {
  type Reads = (...chunks: readonly string[]) => void;

  interface Turn {
    /** Of the crowd, of another connection that is answered on the fast lane, and of one that is new. */
    readonly one: Reads;
    readonly two: Reads;
    readonly fresh: Reads;
    readonly clock: FakeClock;
    /** Lets the answer that takes time come. */
    readonly come: () => Promise<void>;
  }

  /** What comes between, which takes 50 ms. */
  const slow: readonly (readonly [string, (turn: Turn) => void | Promise<void>])[] = [
    ['a new target', ({ one }) => one(newTarget('/slow'))],
    ['a new target that is waited for', ({ two }) => two(newTarget('/slow?late'))],
    [
      'an answer that was waited for',
      ({ clock, come }) => {
        clock.advance(50);
        return come();
      },
    ],
    ['a request that is too long', ({ two }) => two(head('GET /slow HTTP/1.1', 'Host: a', `X: ${'x'.repeat(5000)}`))],
    ['one on a connection that is new', ({ fresh }) => fresh(asked.replace('/a', '/slow'))],
    [
      'a part of a head',
      ({ two, clock }) => {
        clock.advance(50);
        two('X');
      },
    ],
    ['an answer that may not be given again', ({ two }) => two(asked.replace('/a', '/refused'))],
    ['an answer that its client does not take', ({ two }) => two(asked.replace('/a', '/stuck'))],
  ];

  it.each(slow)('is not told with the time of what came before it: %s', async (what, between) => {
    const connectionOf = readHere();
    const late = Promise.withResolvers<ProxyResponse>();
    const looks: number[] = [];
    const known = answer('known', () => true);
    const repeat: Repeat = {
      ...repeatOf(() => true),
      again: (nowMs) => {
        looks.push(nowMs);
        return true;
      },
    };
    let takesMs = 0;
    const takes = (): boolean => {
      clock.advance(takesMs);
      return takesMs === 0;
    };
    const answers = new Map([
      ['/a', { ...known, repeat }],
      ['/refused', answer('refused', takes)],
      ['/stuck', answer('x'.repeat(stuckBytes), () => takes() || true)],
    ]);
    const { open, parsed, records, clock } = await rig({
      handle: ({ path, query }) => {
        if (path === '/slow') clock.advance(takesMs);
        return query === 'late' ? late.promise : (answers.get(path) ?? steadyOf('one'));
      },
    });
    const [one, two] = [await open(), await open()];
    const seen = first(parsed);
    for (const path of ['/refused', '/stuck', '/a']) await warmHead(two, seen, asked.replace('/a', path));
    await warmHead(one, seen, asked);
    const fresh = await open();
    const turn: Turn = {
      one: connectionOf(one),
      two: connectionOf(two),
      fresh: connectionOf(fresh),
      clock,
      come: async () => {
        late.resolve(steadyOf('one'));
        // Not the next turn of the event loop.
        for (let step = 0; step < 10; step += 1) await Promise.resolve();
      },
    };
    if (what.includes('was waited')) turn.two(newTarget('/wait?late'));
    if (what.includes('part')) turn.two('GET /a HTT');
    two.socket.pause();
    // So that they are a crowd: the later ones go on from the end of the one before.
    turn.one(...Array.from({ length: 20 }, () => asked));
    const sinceMs = clock.nowMs();
    takesMs = 50;
    await between(turn);
    takesMs = 0;
    expect(clock.nowMs() - sinceMs).toBe(50);
    const told = records.length;
    turn.one(asked);
    expect(records.slice(told).map(({ durationMs }) => durationMs)).toEqual([0]);
    expect(looks.at(-1)).toBe(clock.nowMs());
  });
});

describe('A head', () => {
  it('that comes once is not kept, however many of them come', async () => {
    const response = steady('known');
    const { open, parsed } = await rig({ handle: () => response });
    const connection = await open();
    await warm(connection, first(parsed), asked);
    for (let round = 0; round < 50; round += 1) {
      const before = first(parsed).count;
      await connection.send(head('GET /a HTTP/1.1', 'Host: a', `X: ${round}`));
      await connection.reply();
      expect(first(parsed).count - before).toBe(1);
    }
    const before = first(parsed).count;
    await connection.send(asked);
    await connection.reply();
    expect(first(parsed).count).toBe(before);
  });

  it('that recurs is known, however many came before it on its connection that did not', async () => {
    const response = steady('known');
    const { open, parsed } = await rig({ handle: () => response });
    const connection = await open();
    await warm(connection, first(parsed), asked);
    for (let round = 0; round < 150; round += 1) {
      await connection.send(head('GET /a HTTP/1.1', 'Host: a', `X: ${round}`));
      await connection.reply();
    }
    const late = head('GET /late HTTP/1.1', 'Host: a', 'X: late');
    // One of eight is looked at: it is seen after eight, and known after eight more.
    const before = first(parsed).count;
    for (let round = 0; round < 17; round += 1) {
      await connection.send(late);
      await connection.reply();
    }
    expect(first(parsed).count - before).toBeGreaterThan(8);
    expect(first(parsed).count - before).toBeLessThanOrEqual(16);
  });
});

const newTarget = (target: string): string => asked.replace('/a', target);

describe('A request during which another connection’s is handed to the parser', () => {
  it('is learnt like any other', async () => {
    let waiting: ClientLink | undefined;
    const kept = steady('kept');
    const { open, parsed } = await rig({
      handle: ({ path }, client) => {
        if (path === '/wait') {
          waiting = client;
          return new Promise(nothing);
        }
        // It takes an interim response to what waits on the other one.
        if (path === '/nest') waiting?.interim(103, [['link', '</a>']]);
        return kept;
      },
    });
    const connection = await open();
    await warm(connection, first(parsed), asked);
    const nest = head('GET /nest HTTP/1.1', 'Host: a', 'X: nest');
    // Seen twice it is known.
    for (let round = 0; round < 2; round += 1) {
      const other = await open();
      await warm(other, first(parsed), asked);
      await other.send(newTarget(`/wait?${round}`));
      await expect.poll(() => waiting).toBeDefined();
      const { count } = first(parsed);
      await connection.send(nest);
      expect((await connection.reply()).text).toBe('kept');
      expect(first(parsed).count - count).toBe(2);
      await expect.poll(() => other.received.toString()).toContain('103');
      waiting = undefined;
    }
    const { count } = first(parsed);
    await connection.send(nest);
    expect((await connection.reply()).text).toBe('kept');
    expect(first(parsed).count).toBe(count);
  });
});

describe('A new target', () => {
  it('is told once, with all that the parser’s are told with, also with the trace that it belongs to', async () => {
    const response = steady('known');
    const { open, records, parsed } = await rig({ handle: () => response });
    const connection = await open();
    await warm(connection, first(parsed), asked);
    const ask = async (target: string): Promise<void> => {
      await connection.send(newTarget(target));
      await connection.reply();
    };
    records.length = 0;
    const before = first(parsed).count;
    await ask('/b?1');
    expect(first(parsed).count).toBe(before);
    const [fast] = records;
    expect(records).toHaveLength(1);
    const other = await open();
    await other.send(newTarget('/b?2'));
    await other.reply();
    await expect.poll(() => records).toHaveLength(2);
    expect(first(parsed).count).toBe(before + 1);
    expect(records[1]).toEqual(fast);
    expect(fast).toMatchObject({
      method: 'GET',
      bytesSent: 5,
      traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
      listener: 'one',
    });
  });

  it('is told with the time that it took, asking for its answer included, whoever sends that', async () => {
    const kept = steady('kept');
    const { open, records, parsed, clock } = await rig({
      handle: ({ path }) => {
        if (path === '/slow') clock.advance(7);
        if (path === '/other') clock.advance(9);
        return path === '/other' ? answer('other') : kept;
      },
    });
    const connection = await open();
    await warm(connection, first(parsed), asked);
    records.length = 0;
    for (const target of ['/slow', '/other']) {
      await connection.send(newTarget(target));
      await connection.reply();
    }
    await expect.poll(() => records.map(({ durationMs }) => durationMs)).toEqual([7, 9]);
  });

  it('is asked for once, with what it is: the path and query that came, and all else as it was read', async () => {
    const requests: ProxyRequest[] = [];
    const response = steady('known');
    const { open, parsed } = await rig({
      handle: (request) => {
        requests.push(request);
        return request.query === 'late' ? Promise.resolve(response) : response;
      },
    });
    const connection = await open();
    await warm(connection, first(parsed), asked);
    const [read] = requests;
    requests.length = 0;
    for (const target of ['/b', '/b?', '/b?c', '/b?late']) {
      await connection.send(newTarget(target));
      expect((await connection.reply()).text).toBe('known');
    }
    expect(requests).toEqual([
      { ...read, path: '/b', query: undefined },
      { ...read, path: '/b', query: '' },
      { ...read, path: '/b', query: 'c' },
      { ...read, path: '/b', query: 'late' },
    ]);
  });

  it('is answered 500 where the exchange throws, at once or later, and that is heard of once', async () => {
    const response = steady('known');
    const { open, parsed, bugs, records } = await rig({
      handle: ({ query }) => {
        if (query === 'throws') throw new Error('at once');
        return query === 'rejects' ? Promise.reject(new Error('later')) : response;
      },
    });
    const connection = await open();
    await warm(connection, first(parsed), asked);
    records.length = 0;
    for (const target of ['/b?throws', '/b?rejects']) {
      await connection.send(newTarget(target));
      expect((await connection.reply()).status).toBe(500);
    }
    expect(bugs).toEqual([new Error('at once'), new Error('later')]);
    await expect.poll(() => records.map(({ status }) => status)).toEqual([500, 500]);
    await connection.send(newTarget('/b'));
    expect((await connection.reply()).text).toBe('known');
  });

  it('gets the interim responses that come for it while its answer is waited for', async () => {
    const response = steady('known');
    const told: number[] = [];
    const { open, parsed } = await rig({
      handle: ({ query }, client) => {
        if (query === undefined) return response;
        told.push(first(parsed).count);
        return Promise.resolve().then(() => {
          client?.interim(103, [['link', `</${query}>`]]);
          return response;
        });
      },
    });
    const connection = await open();
    await warm(connection, first(parsed), asked);
    const { count } = first(parsed);
    await connection.send(newTarget('/b?one'));
    await expect
      .poll(() => connection.received.toString())
      .toMatch(/103 Early Hints\r\nlink: <\/one>\r\n\r\nHTTP\/1.1 200/);
    // It was begun before the parser told of it, and once.
    expect([told, first(parsed).count]).toEqual([[count], count + 1]);
  });

  const others: readonly (readonly [string, (req: IncomingMessage, lane: FastLane) => void])[] = [
    ['target', (req) => (req.url = '/another?late')],
    ['method', (req) => (req.method = 'HEAD')],
    ['number', (req, lane) => lane.began(req)],
  ];

  it.each(others)('of which the parser tells with another %s ends its connection', async (_what, alter) => {
    const response = steady('known');
    const queries: (string | undefined)[] = [];
    const { open, parsed, bugs, handler } = await rig({
      handle: ({ query }) => {
        queries.push(query);
        // Without Date, so that it has to be node:http that sends it.
        const late = { ...response, ready: undefined, fields: response.fields.filter(([name]) => name !== 'date') };
        return query === 'late' ? Promise.resolve(late) : response;
      },
    });
    const connection = await open();
    await warm(connection, first(parsed), asked);
    queries.length = 0;
    const { lane } = handler;
    if (lane === undefined) throw new Error('no lane');
    const usual = handler.request.bind(handler);
    Object.assign(handler, {
      request: (req: IncomingMessage, ...rest: [ServerResponse, string]) => {
        alter(req, lane);
        usual(req, ...rest);
      },
    });
    await connection.send(newTarget('/b?late'));
    await connection.ended();
    expect(connection.received.length).toBe(0);
    // What was begun is nobody's: the request that the parser has told of is begun by itself.
    expect(queries).toHaveLength(2);
    expect(bugs).toEqual([new Error('the parser has not told of the request that a chunk was taken for')]);
  });

  it('that the parser does not tell of ends its connection, and nobody is left with what was begun of it', async () => {
    const response = steady('known');
    let cancelled = 0;
    const stream = (): ProxyResponse => ({
      ...answer('x'),
      body: { kind: 'stream', chunks: never(), length: undefined, cancel: () => (cancelled += 1) },
    });
    const { open, parsed, bugs, handler } = await rig({
      handle: ({ query }) => {
        if (query === 'stream') return stream();
        if (query === 'late') return Promise.resolve().then(stream);
        return query === 'fails' ? Promise.reject(new Error('nobody waits for it')) : response;
      },
    });
    for (const query of ['stream', 'late', 'fails']) {
      const connection = await open();
      await warm(connection, first(parsed), asked);
      // The parser’s word does not get to where it is taken.
      Object.assign(handler, { request: nothing });
      await connection.send(newTarget(`/b?${query}`));
      await connection.ended();
      expect(connection.received.length).toBe(0);
      Reflect.deleteProperty(handler, 'request');
    }
    const unheard = new Error('the parser has not told of the request that a chunk was taken for');
    expect(bugs).toEqual([unheard, unheard, unheard, new Error('nobody waits for it')]);
    expect(cancelled).toBe(2);
  });

  it('of one listener is no request of another', async () => {
    const { open, parsed } = await rig({ handle: ({ listener }) => steadyOf(listener) });
    const [one, two] = [await open(0), await open(1)];
    await warm(one, first(parsed), asked);
    const before = parsed.map(({ count }) => count);
    for (const [connection, name] of [
      [two, 'two'],
      [one, 'one'],
      [two, 'two'],
    ] as const) {
      await connection.send(newTarget(`/b?${name}`));
      expect((await connection.reply()).text).toBe(name);
    }
    // The first of its connection, and the one after it, of which no tail is known there.
    expect(parsed.map(({ count }, index) => count - (before[index] ?? 0))).toEqual([0, 2]);
  });
});

async function* never(): AsyncGenerator<Buffer> {
  await new Promise(() => undefined);
  yield Buffer.alloc(1);
}
