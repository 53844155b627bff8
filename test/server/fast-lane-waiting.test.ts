import { once } from 'node:events';
import { describe, expect, it, onTestFinished, vi } from 'vitest';

import type { ClientLink, Handled } from '../../src/cache/handled.ts';
import type { ProxyResponse, ResponseBody, SameHead } from '../../src/cache/ports.ts';
import type { ServerConfig } from '../../src/core/config.ts';
import type { RequestRecord } from '../../src/core/outcome.ts';
import type { ProxyRequest } from '../../src/core/request.ts';
import { createDataServer, type DataServer } from '../../src/server/data-server.ts';
import { MOST_WAIT_MS } from '../../src/server/fast-lane-held.ts';
import { idleLoad, type ServerLoad } from '../../src/server/load.ts';
import { ExchangeHandler } from '../../src/server/request-handler.ts';
import { clientBeside } from '../support/client-beside.ts';
import { FakeClock } from '../support/clock.ts';
import { ParsedRequests, read, readSlowly } from '../support/fast-lane.ts';
import { head } from '../support/hostile.ts';
import { openRaw, type RawConnection } from '../support/raw.ts';

const nothing = (): void => {};
const get = (target: string): string => head(`GET ${target} HTTP/1.1`, 'Host: a', trace);
const trace = 'traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';

function config(fastLane: boolean, timeouts: Partial<ServerConfig['timeouts']>, mostRequests: number): ServerConfig {
  return {
    listeners: [{ name: 'one', host: '127.0.0.1', port: 0 }],
    limits: {
      maxHeaderFields: 100,
      maxTargetBytes: 9999,
      maxHeaderBytes: 16_384,
      maxRequestsPerConnection: mostRequests,
      maxPipelined: 100,
      maxHops: 8,
      maxBodyBytes: 10,
      maxContentBytes: 10,
      maxConnections: 100,
    },
    timeouts: { sendMs: 5000, headersMs: 5000, keepAliveMs: 5000, requestMs: 5000, ...timeouts },
    drainDelayMs: 0,
    graceMs: 0,
    fastLane,
    workers: 1,
  };
}

function answer(text: string, more: Partial<ProxyResponse> = {}): ProxyResponse {
  return {
    status: 200,
    fields: [
      ['date', 'Mon, 23 Nov 2026 12:00:00 GMT'],
      ['content-length', String(text.length)],
      ['cache-status', 'forecache; fwd=uri-miss; stored'],
    ],
    body: { kind: 'bytes', bytes: Buffer.from(text) },
    meta: {
      outcome: 'miss',
      route: 'a',
      upstream: 'api',
      tier: undefined,
      fwd: 'uri-miss',
      problem: undefined,
      url: `http://a/${text.slice(0, 20)}`,
    },
    ...more,
  };
}

const asResponse = (response: ProxyResponse): Handled => ({ kind: 'response', response });

/** What was begun of a request, and waits to be told of its end. */
interface Begun {
  readonly query: string;
  readonly client: ClientLink | undefined;
  readonly answered: PromiseWithResolvers<Handled>;
}

/** A server of which a test decides when and how each request is answered. */
class Rig {
  readonly records: RequestRecord[] = [];
  /** Bytes of those that were counted with their like. */
  readonly repeated: number[] = [];
  readonly limits: string[] = [];
  readonly bugs: unknown[] = [];
  readonly load: ServerLoad = idleLoad();
  readonly clock = new FakeClock();
  readonly begun: Begun[] = [];
  /** Of those that asked to hear of it. */
  readonly over: string[] = [];
  cancelled = 0;
  /** Requests that were begun. */
  count = 0;
  readonly #byLink: boolean;
  readonly #server: DataServer;
  readonly #handler: ExchangeHandler;
  #origin = '';
  #parsed: ParsedRequests | undefined;

  constructor(
    fastLane: boolean,
    { timeouts = {}, mostRequests = 0, byLink = false, countsRepeats = false }: RigOptions,
  ) {
    this.#byLink = byLink;
    const ignored = { upstreamCall: nothing, brokenBody: nothing, storage: nothing, purge: nothing, warm: nothing };
    const options = config(fastLane, timeouts, mostRequests);
    this.#handler = new ExchangeHandler({
      config: options,
      handle: (request, client) => this.#handle(request, client),
      relay: {
        web: (_req, res) =>
          new Promise((resolve) => {
            const done = {
              status: 299,
              bytesSent: 0,
              attempts: 0,
              aborted: false,
              failure: undefined,
              reason: undefined,
              problem: undefined,
            };
            res.on('close', () => resolve({ ...done, aborted: !res.writableFinished }));
            if (res.closed) resolve({ ...done, status: 0, aborted: true });
            else res.writeHead(299, { date: 'now', 'content-length': 0 }).end();
          }),
        upgrade: () => Promise.reject(new Error('none')),
      },
      observer: {
        ...ignored,
        request: (record) => this.records.push(record),
        repeats: () => (countsRepeats ? { repeated: (bytes) => this.repeated.push(bytes) } : undefined),
        limit: (option) => this.limits.push(option),
        fleet: nothing,
      },
      clock: this.clock,
      load: this.load,
      onBug: (error) => this.bugs.push(error),
    });
    this.#server = createDataServer({ config: options, handler: this.#handler, load: this.load });
  }

  async listen(): Promise<this> {
    const [bound] = await this.#server.listen();
    this.#origin = `http://127.0.0.1:${bound?.port}`;
    this.#parsed = new ParsedRequests(this.#origin);
    onTestFinished(async () => {
      this.#parsed?.[Symbol.dispose]();
      this.#server.closeNow();
      await this.#server.close();
    });
    return this;
  }

  get parsed(): number {
    return this.#parsed?.count ?? Number.NaN;
  }

  beginDrain(): void {
    this.#server.beginDrain();
  }

  closeNow(): void {
    this.#server.closeNow();
  }

  close(): Promise<void> {
    return this.#server.close();
  }

  /** A connection on which a request is waited for, where there is a fast lane. */
  async open(): Promise<RawConnection> {
    const connection = await openRaw(this.#origin);
    onTestFinished(() => connection[Symbol.dispose]());
    for (let count = 0; count < 6; count += 1) {
      await connection.send(get(`/?now${count}`));
      await connection.reply();
    }
    return connection;
  }

  get origin(): string {
    return this.#origin;
  }

  /** Sends it, and gives what was begun of it. */
  async begin(connection: RawConnection, query: string): Promise<Begun> {
    const { length } = this.begun;
    await connection.send(get(`/?${query}`));
    return this.next(length);
  }

  async next(index: number): Promise<Begun> {
    await vi.waitUntil(() => this.begun.length > index, { interval: 2, timeout: 5000 });
    const begun = this.begun[index];
    if (begun === undefined) throw new Error('none');
    return begun;
  }

  stream(chunks: AsyncIterable<Buffer>): ResponseBody {
    return { kind: 'stream', chunks, length: undefined, cancel: () => (this.cancelled += 1) };
  }

  #handle({ query = '' }: ProxyRequest, client: ClientLink | undefined): Handled | Promise<Handled> {
    this.count += 1;
    if (query.startsWith('sync')) return asResponse(answer(query));
    if (query.startsWith('now')) return Promise.resolve(asResponse(answer(query)));
    const answered = Promise.withResolvers<Handled>();
    this.begun.push({ query, client, answered });
    if (query.startsWith('counts')) client?.whenOver(() => this.over.push(query));
    const late = this.#byLink ? client?.late : undefined;
    if (late === undefined) return answered.promise;
    answered.promise.then(
      (handled) => late.came(handled),
      (error: unknown) => late.failed(error),
    );
    return late.begin();
  }
}

interface RigOptions {
  readonly timeouts?: Partial<ServerConfig['timeouts']>;
  readonly mostRequests?: number;
  /** Answers that take time are told to the client's link, where it takes them, and not promised. */
  readonly byLink?: boolean;
  /** Answers whose like come again are counted together. */
  readonly countsRepeats?: boolean;
}

/** What became of it. */
interface Result {
  readonly received: string;
  readonly records: readonly RequestRecord[];
  readonly limits: readonly string[];
  readonly bugs: readonly unknown[];
  readonly cancelled: number;
  readonly asked: readonly string[];
}

interface Played extends Result {
  /** Requests that the parser was told of since the first one that was to wait. */
  readonly parsed: number;
  readonly waits: number;
}

type Scene = (rig: Rig, connection: RawConnection) => Promise<void>;

async function play(fastLane: boolean, scene: Scene, options: RigOptions = {}): Promise<Played> {
  const rig = await new Rig(fastLane, options).listen();
  const connection = await rig.open();
  const [before, parsed, waits] = [rig.records.length, rig.parsed, rig.load.waits];
  await scene(rig, connection);
  await expect.poll(() => rig.load.requestsInFlight, { interval: 2 }).toBe(0);
  await read();
  return {
    received: connection.received.toString('latin1').replaceAll(/\r\ndate: [^\r]*/gi, ''),
    records: rig.records.slice(before),
    limits: rig.limits,
    bugs: rig.bugs,
    cancelled: rig.cancelled,
    asked: rig.begun.map(({ query }) => query),
    parsed: rig.parsed - parsed,
    waits: rig.load.waits - waits,
  };
}

/** Plays it with and without the fast lane, and with one that is told by its link: nobody can tell which it was, but by what the parser was told of. */
async function playBoth(scene: Scene, options: RigOptions = {}): Promise<Played> {
  const fast = await play(true, scene, options);
  const slow = await play(false, scene, options);
  return expectAlike(fast, slow, await play(true, scene, { ...options, byLink: true }));
}

/** As {@link playBoth}, each on a server of its own at the same time: for what takes long because it waits for time to pass. */
async function playAtOnce(scene: Scene, options: RigOptions): Promise<Played> {
  return expectAlike(
    ...(await Promise.all([
      play(true, scene, options),
      play(false, scene, options),
      play(true, scene, { ...options, byLink: true }),
    ])),
  );
}

function expectAlike({ parsed, waits, ...fast }: Played, slow: Played, byLink: Played): Played {
  expect({ ...fast, parsed: slow.parsed, waits: 0 }).toEqual(slow);
  expect(byLink).toEqual({ ...fast, parsed, waits });
  return { ...fast, parsed, waits };
}

const part = async function* (...pieces: string[]): AsyncGenerator<Buffer> {
  for (const piece of pieces) {
    await Promise.resolve();
    yield Buffer.from(piece);
  }
};

/** What comes while a request waits. */
const shared: readonly (readonly [string, (rig: Rig, connection: RawConnection) => Promise<void>])[] = [
  ['a request that is answered at once', async (_rig, one) => one.send(get('/?sync'))],
  ['a request that takes time', async (_rig, one) => one.send(get('/?now'))],
  ['two requests in one chunk', async (_rig, one) => one.send(get('/?sync1') + get('/?sync2'))],
  ['one with another method', async (_rig, one) => one.send(get('/?sync').replace('GET', 'HEAD'))],
  ['one with content that looks like a request', async (_rig, one) => one.send(posted(get('/?sync')))],
  ['what is no request', async (_rig, one) => one.send('\0\0\0')],
  ['an empty line, and a request', async (_rig, one) => one.send(`\r\n${get('/?sync')}`)],
  [
    'a request in two chunks',
    async (_rig, one) => {
      await one.send(get('/?sync').slice(0, 20));
      await read();
      await one.send(get('/?sync').slice(20));
    },
  ],
  ['half a request', async (_rig, one) => one.send(get('/?sync').slice(0, -2))],
  [
    'an offer to upgrade',
    async (_rig, one) => one.send(head('GET /?sync HTTP/1.1', 'Host: a', 'Connection: upgrade', 'Upgrade: websocket')),
  ],
  ['the last request', async (_rig, one) => one.send(head('GET /?sync HTTP/1.1', 'Host: a', 'Connection: close'))],
  ['the end of what the client sends', async (_rig, one) => void one.socket.end()],
  ['a reset', async (_rig, one) => void one.socket.resetAndDestroy()],
  ['a request and the end', async (_rig, one) => void one.socket.end(get('/?sync'))],
  ['a drain', async (rig) => rig.beginDrain()],
  [
    'a drain and a request',
    async (rig, one) => {
      rig.beginDrain();
      await one.send(get('/?sync'));
    },
  ],
  [
    'a request and a drain',
    async (rig, one) => {
      await one.send(get('/?sync'));
      rig.beginDrain();
    },
  ],
  ['the end of all connections', async (rig) => rig.closeNow()],
];

const posted = (content: string): string =>
  head('POST /?sync HTTP/1.1', 'Host: a', `Content-Length: ${content.length}`) + content;

/** What it waits for. */
const ends: readonly (readonly [string, (rig: Rig, begun: Begun) => void])[] = [
  ['an answer', (_rig, { answered }) => answered.resolve(asResponse(answer('late')))],
  [
    'a stream',
    (rig, { answered }) => {
      const fields = [
        ['date', 'x'],
        ['content-length', '6'],
      ] as const;
      answered.resolve(asResponse(answer('', { fields, body: rig.stream(part('abc', 'def')) })));
    },
  ],
  ['an error', (_rig, { answered }) => answered.reject(new Error('a bug'))],
];

/** Requests that were waited for, of one. */
const waitsWith = async (keepAliveMs: number): Promise<number> => {
  const { waits } = await playBoth(
    async (rig, connection) => {
      const begun = await rig.begin(connection, 'a');
      begun.answered.resolve(asResponse(answer('late')));
      await settled(connection);
    },
    { timeouts: { keepAliveMs } },
  );
  return waits;
};

describe('A request that waits on the fast lane', () => {
  it('is answered without being parsed, in the bytes that node:http sends, and recorded so', async () => {
    const played = await playBoth(async (rig, connection) => {
      const begun = await rig.begin(connection, 'a');
      expect(rig.load.requestsInFlight).toBe(1);
      rig.clock.advance(123);
      begun.answered.resolve(asResponse(answer('late')));
      await expect.poll(() => connection.received.toString()).toContain('late');
    });
    expect([played.parsed, played.waits]).toEqual([0, 1]);
    expect(played.records).toEqual([
      {
        outcome: 'miss',
        method: 'GET',
        route: 'a',
        upstream: 'api',
        tier: undefined,
        fwd: 'uri-miss',
        status: 200,
        durationMs: 123,
        bytesSent: 4,
        problem: undefined,
        url: 'http://a/late',
        traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
        listener: 'one',
      },
    ]);
  });

  it('is counted with its like where its answer is one of many, and told of by itself where it is not', async () => {
    const rig = await new Rig(true, { countsRepeats: true }).listen();
    const connection = await rig.open();
    const told = rig.records.length;
    const many: SameHead = { ageLine: -1, ttlFrom: 0, ageSeconds: 0, ttlSeconds: 0, ready: undefined };
    for (const same of [many, undefined, many]) {
      const begun = await rig.begin(connection, 'a');
      begun.answered.resolve(asResponse(answer(same === many ? 'many' : 'alone', { head: same })));
      await connection.reply();
    }
    expect(rig.repeated).toEqual([4, 4]);
    expect(rig.records.slice(told).map(({ bytesSent }) => bytesSent)).toEqual([5]);
  });

  it('tells whoever answers it since when it waits', async () => {
    const rig = await new Rig(true, { byLink: true }).listen();
    const connection = await rig.open();
    rig.clock.advance(7);
    const [sinceMs, begun] = [rig.clock.monotonicMs(), await rig.begin(connection, 'a')];
    rig.clock.advance(5);
    expect(begun.client?.late?.sinceMs).toBe(sinceMs);
    begun.answered.resolve(asResponse(answer('late')));
    expect((await connection.reply()).text).toBe('late');
  });

  it('is followed by others that are, on a connection that has nothing else', async () => {
    const { parsed, waits } = await playBoth(async (_rig, connection) => {
      for (let count = 0; count < 300; count += 1) {
        await connection.send(get(`/?now-${count}`));
        expect((await connection.reply()).text).toBe(`now-${count}`);
      }
    });
    expect([parsed, waits]).toEqual([0, 300]);
  });

  for (const [what, end] of ends) {
    it.each(shared)(`for ${what} is the parser’s before it is told of %s`, async (name, happen) => {
      const { parsed, waits } = await playBoth(async (rig, connection) => {
        const begun = await rig.begin(connection, 'a');
        await happen(rig, connection);
        await read();
        await read();
        end(rig, begun);
        if (connection.socket.destroyed || connection.socket.writableEnded) await connection.ended();
        else await settled(connection);
      });
      expect(waits).toBe(0);
      // Of a connection that is gone nobody knows the port any more, by which it is counted.
      expect(parsed).toBeGreaterThanOrEqual(/reset|all connections/.test(name) ? 0 : 1);
    });

    it.each(shared)(`for ${what} gets it in the same step as there comes %s`, async (_name, happen) => {
      const { records } = await playBoth(async (rig, connection) => {
        const begun = await rig.begin(connection, 'a');
        const happening = happen(rig, connection);
        end(rig, begun);
        await happening;
        if (connection.socket.destroyed || connection.socket.writableEnded) await connection.ended();
        else await settled(connection);
      });
      expect(records.length).toBeGreaterThan(0);
    });
  }

  const unusual: readonly (readonly [string, (rig: Rig) => Handled])[] = [
    [
      'a stream',
      (rig) =>
        asResponse(
          answer('', {
            fields: [
              ['date', 'x'],
              ['content-length', '6'],
            ],
            body: rig.stream(part('abc', 'def')),
          }),
        ),
    ],
    [
      'a stream without a length',
      (rig) => asResponse(answer('', { fields: [['date', 'x']], body: rig.stream(part('abc', 'def')) })),
    ],
    [
      'an answer that says another length',
      () =>
        asResponse(
          answer('a', {
            fields: [
              ['date', 'x'],
              ['content-length', '2'],
            ],
          }),
        ),
    ],
    ['an answer without Date', () => asResponse(answer('a', { fields: [['content-length', '1']] }))],
    [
      'an answer with a field of the connection',
      () =>
        asResponse(
          answer('a', {
            fields: [
              ['date', 'x'],
              ['content-length', '1'],
              ['connection', 'close'],
            ],
          }),
        ),
    ],
    ['a 304', () => asResponse(answer('', { status: 304, fields: [['date', 'x']], body: { kind: 'none' } }))],
    ['a 204', () => asResponse(answer('', { status: 204, fields: [['date', 'x']], body: { kind: 'none' } }))],
    ['a problem', () => asResponse(answer('no', { status: 502 }))],
    ['an empty answer', () => asResponse(answer(''))],
    ['content in a piece of its own', () => asResponse(answer('x'.repeat(5000)))],
  ];

  it.each(unusual)('gets what node:http sends: %s', async (_name, make) => {
    const { records } = await playBoth(async (rig, connection) => {
      const begun = await rig.begin(connection, 'a');
      begun.answered.resolve(make(rig));
      await settled(connection);
      if (connection.socket.readableEnded) return;
      await connection.send(get('/?sync'));
      await settled(connection);
    });
    expect(records.length).toBeGreaterThan(0);
  });

  it('gets interim responses, in front of its answer', async () => {
    const { received, parsed, waits } = await playBoth(async (rig, connection) => {
      const begun = await rig.begin(connection, 'a');
      begun.client?.interim(103, [['link', '</a>']]);
      await expect.poll(() => connection.received.toString()).toContain('103');
      begun.client?.interim(103, [['link', '</b>']]);
      begun.answered.resolve(asResponse(answer('late')));
      await expect.poll(() => connection.received.toString()).toContain('late');
      begun.client?.interim(103, [['link', '</c>']]);
    });
    expect(received).toMatch(/^HTTP\/1\.1 103 .*<\/a>\r\n\r\nHTTP\/1\.1 103 .*<\/b>\r\n\r\nHTTP\/1\.1 200 .*late$/s);
    expect([parsed, waits]).toEqual([1, 0]);
  });

  it('gets no interim responses that come behind its answer', async () => {
    const { received, waits } = await playBoth(async (rig, connection) => {
      const begun = await rig.begin(connection, 'a');
      begun.answered.resolve(asResponse(answer('late')));
      await expect.poll(() => connection.received.toString()).toContain('late');
      begun.client?.interim(103, [['link', '</c>']]);
    });
    expect(received).not.toContain('103');
    expect(waits).toBe(1);
  });

  it.each([
    ['when it is begun', 'counts', () => {}],
    ['while it waits', 'a', ({ over }: Rig, { client }: Begun) => client?.whenOver(() => over.push('a'))],
  ])(
    'is the parser’s at once where what is made for it counts until it has been sent, as told %s',
    async (_when, query, tell) => {
      const { parsed, waits } = await playBoth(async (rig, connection) => {
        const begun = await rig.begin(connection, query);
        tell(rig, begun);
        await read();
        expect(rig.over).toEqual([]);
        begun.answered.resolve(asResponse(answer('late')));
        await expect.poll(() => connection.received.toString()).toContain('late');
        await expect.poll(() => rig.over).toEqual([query]);
      });
      expect([parsed, waits]).toEqual([1, 0]);
    },
  );

  it.each([
    ['has gone when it waited', 'a'],
    ['goes when the parser has it', 'counts'],
  ])('is over where its client %s', async (_when, query) => {
    await playBoth(async (rig, connection) => {
      const begun = await rig.begin(connection, query);
      connection.socket.resetAndDestroy();
      if (query === 'a') {
        await read();
        begun.client?.whenOver(() => rig.over.push(query));
      }
      await expect.poll(() => rig.over).toEqual([query]);
      begun.answered.resolve(asResponse(answer('late')));
    });
  });

  it('is over where it was answered', async () => {
    const { waits } = await playBoth(async (rig, connection) => {
      const begun = await rig.begin(connection, 'a');
      begun.answered.resolve(asResponse(answer('late')));
      await expect.poll(() => connection.received.toString()).toContain('late');
      await read();
      begun.client?.whenOver(() => rig.over.push('a'));
      expect(rig.over).toEqual(['a']);
    });
    expect(waits).toBe(1);
  });

  it('waits on where an interim response comes for the one before it, which was answered', async () => {
    const { received, parsed, waits } = await playBoth(async (rig, connection) => {
      const one = await rig.begin(connection, 'a');
      one.answered.resolve(asResponse(answer('early')));
      await expect.poll(() => connection.received.toString()).toContain('early');
      const two = await rig.begin(connection, 'b');
      one.client?.interim(103, [['link', '</a>']]);
      two.answered.resolve(asResponse(answer('late')));
      await expect.poll(() => connection.received.toString()).toContain('late');
    });
    expect(received).not.toContain('103');
    expect([parsed, waits]).toEqual([0, 2]);
  });

  it('is the parser’s when it has waited for a second, and not much earlier', async () => {
    const rig = await new Rig(true, {}).listen();
    const connection = await rig.open();
    const { parsed } = rig;
    const sinceMs = performance.now();
    const begun = await rig.begin(connection, 'a');
    expect(rig.parsed).toBe(parsed);
    await expect.poll(() => rig.parsed - parsed, { timeout: 5000, interval: 5 }).toBe(1);
    expect(performance.now() - sinceMs).toBeGreaterThan(MOST_WAIT_MS * 0.9);
    begun.answered.resolve(asResponse(answer('late')));
    expect((await connection.reply()).text).toBe('late');
    expect([rig.load.requestsInFlight, rig.records.length]).toEqual([0, 7]);
  });

  it.each([2 * MOST_WAIT_MS, 300])(
    'is not ended by a keep-alive time of %i ms while it waits for longer',
    async (keepAliveMs) => {
      const played = await playAtOnce(
        async (rig, connection) => {
          const begun = await rig.begin(connection, 'a');
          await new Promise((resolve) => setTimeout(resolve, keepAliveMs + 200));
          begun.answered.resolve(asResponse(answer('late')));
          await expect.poll(() => connection.received.toString()).toContain('late');
          await connection.ended();
        },
        { timeouts: { keepAliveMs } },
      );
      expect(played.limits).toEqual(['server.timeouts.keepAlive']);
      expect(played.parsed).toBe(1);
    },
    20_000,
  );

  it('is waited for on the fast lane where connections have no keep-alive time, and not where it is short', async () => {
    expect([await waitsWith(0), await waitsWith(2 * MOST_WAIT_MS), await waitsWith(2 * MOST_WAIT_MS - 1)]).toEqual([
      1, 1, 0,
    ]);
  });

  it('is never the last one that its connection serves', async () => {
    const { parsed, waits, received } = await playBoth(
      async (_rig, connection) => {
        for (let count = 0; count < 4; count += 1) {
          await connection.send(get(`/?now${count}`));
          await settled(connection);
        }
        await connection.ended();
      },
      { mostRequests: 10 },
    );
    expect([parsed, waits]).toEqual([1, 3]);
    expect(received.match(/connection: close/gi)).toHaveLength(1);
  });

  it('is closed with its server, behind its answer', async () => {
    await playBoth(async (rig, connection) => {
      const begun = await rig.begin(connection, 'a');
      const closed = rig.close();
      begun.answered.resolve(asResponse(answer('late')));
      await expect.poll(() => connection.received.toString()).toContain('late');
      connection.socket.end();
      await closed;
    });
  });

  it('of many connections is answered with close once the server drains', async () => {
    for (const fastLane of [true, false]) {
      const rig = await new Rig(fastLane, {}).listen();
      const connections = await Promise.all(Array.from({ length: 40 }, () => rig.open()));
      const parsed = rig.parsed;
      for (const one of connections) await rig.begin(one, 'a');
      expect([rig.load.requestsInFlight, rig.parsed - parsed]).toEqual([40, fastLane ? 0 : 40]);
      rig.beginDrain();
      await read();
      for (const { answered } of rig.begun) answered.resolve(asResponse(answer('late')));
      for (const one of connections) {
        const reply = await one.reply();
        expect([reply.text, reply.field('connection')]).toEqual(['late', 'close']);
        await one.ended();
      }
      await expect.poll(() => rig.load.requestsInFlight).toBe(0);
      expect(rig.parsed - parsed).toBe(40);
    }
  });

  it('of many connections for a few answers gets that of its own', async () => {
    const rig = await new Rig(true, {}).listen();
    const connections = await Promise.all(Array.from({ length: 40 }, () => rig.open()));
    const { parsed } = rig;
    for (const [index, connection] of connections.entries()) await rig.begin(connection, keyOf(index));
    // One answer for all who ask for the same, as where requests are collapsed; in another order than they were asked for.
    const answers = new Map(connections.map((_, index) => [keyOf(index), asResponse(answer(`of ${keyOf(index)}`))]));
    for (const { query, answered } of rig.begun.toReversed())
      answered.resolve(answers.get(query) ?? asResponse(answer('')));
    for (const [index, connection] of connections.entries()) {
      expect((await connection.reply()).text).toBe(`of ${keyOf(index)}`);
    }
    expect([rig.load.requestsInFlight, rig.parsed - parsed, rig.load.connections]).toEqual([0, 0, 40]);
  });

  it('whose client goes while it takes nothing of its answer is told as aborted, and cut off in time', async () => {
    // More than the kernel's buffers of both ends take on loopback.
    const huge = 'x'.repeat(48 * 1024 * 1024);
    const scene: Scene = async (rig, connection) => {
      connection.socket.pause();
      const begun = await rig.begin(connection, 'a');
      begun.answered.resolve(asResponse(answer(huge)));
      await expect.poll(() => rig.limits, { timeout: 5000 }).toEqual(['server.timeouts.send']);
      connection.socket.destroy();
    };
    const options = { timeouts: { sendMs: 150 } };
    const [fast, slow] = [await play(true, scene, options), await play(false, scene, options)];
    expect([fast.records, fast.limits, fast.waits]).toEqual([slow.records, slow.limits, 1]);
    expect(fast.records).toMatchObject([{ outcome: 'aborted', status: 200 }]);
  }, 20_000);

  it('whose client reads slowly but steadily for longer than the keep-alive time gets all of its answer', async () => {
    const huge = 'x'.repeat(48 * 1024 * 1024);
    const keepAliveMs = 2 * MOST_WAIT_MS;
    const rig = await new Rig(true, { timeouts: { keepAliveMs, sendMs: 60_000 } }).listen();
    const connection = await rig.open();
    const { socket } = connection;
    const { parsed } = rig;
    const begun = await rig.begin(connection, 'a');
    socket.pause();
    begun.answered.resolve(asResponse(answer(huge)));
    const taken = await readSlowly(socket, keepAliveMs + 500);
    expect(rig.load.requestsInFlight).toBe(1);
    socket.resume();
    // The head as well.
    await expect.poll(() => taken.bytes).toBeGreaterThan(huge.length);
    await expect.poll(() => rig.load.requestsInFlight).toBe(0);
    expect([rig.parsed - parsed, rig.load.requestsInFlight, rig.limits]).toEqual([0, 0, []]);
  }, 20_000);

  it('whose answer cannot even be looked at is heard of at once, and answered 500', async () => {
    const rig = await new Rig(true, {}).listen();
    const connection = await rig.open();
    const { parsed } = rig;
    const begun = await rig.begin(connection, 'a');
    const broken = answer('x');
    Object.defineProperty(broken, 'fields', {
      get: () => {
        throw new Error('no fields');
      },
    });
    begun.answered.resolve(asResponse(broken));
    await read();
    expect([rig.bugs.map(String), rig.parsed - parsed]).toEqual([['Error: no fields'], 0]);
    rig.beginDrain();
    expect((await connection.reply()).status).toBe(500);
    expect([rig.bugs.length, rig.parsed - parsed, rig.load.requestsInFlight]).toEqual([2, 1, 0]);
  });

  it('whose server ends all connections is told as aborted, whatever it comes to', async () => {
    const route = { name: 'r', upstream: 'u' };
    const others: readonly ((rig: Rig, begun: Begun) => void)[] = [
      ...ends.map(([, end]) => end),
      (_rig, { answered }) =>
        // Only what is told of them matters.
        answered.resolve(
          Object.assign(asResponse(answer('x')), { kind: 'relay', relay: { route, fwd: 'bypass', url: 'u' } }),
        ),
    ];
    for (const end of others) {
      await playBoth(async (rig, connection) => {
        const begun = await rig.begin(connection, 'a');
        rig.closeNow();
        await connection.ended();
        await expect.poll(() => rig.load.requestsInFlight).toBe(0);
        end(rig, begun);
        await read();
      });
    }
  });
});

describe('A server whose grace is over before it takes no more connections', () => {
  it.each([true, false])('ends those that came meanwhile too (fast lane: %s)', async (fastLane) => {
    const rig = await new Rig(fastLane, {}).listen();
    const ask = await clientBeside(rig.origin, get('/?late'));
    const { got } = ask();
    rig.beginDrain();
    const closed = rig.close();
    rig.closeNow();
    await closed;
    expect(await got).not.toContain('HTTP');
    expect(rig.begun.map(({ query }) => query)).toEqual(['late']);
    await expect.poll(() => rig.load.requestsInFlight).toBe(0);
  });
});

/** Of many connections: five ask for the same. */
const keyOf = (index: number): string => `key${index % 8}`;

/** What clients do at random, alike for the same seed. */
function storm(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 4_294_967_296) * below);
  };
}

describe('Clients that go at any time', () => {
  it.each([1, 2, 3, 4, 5])('leave nothing behind, and each request is told of once (seed %i)', async (seed) => {
    const pick = storm(seed);
    const rig = await new Rig(true, {}).listen();
    const asked = rig.count;
    const visitors = new Map<string, string>();
    const visit = async (_: unknown, visitor: number): Promise<void> => {
      const connection = await rig.open();
      const { socket } = connection;
      for (let turn = 0; turn < 30 && !socket.destroyed && !socket.writableEnded; turn += 1) {
        const own = `-v${visitor}t${turn}.`;
        const kinds = [
          () => connection.send(get(`/?sync${own}`)),
          () => connection.send(get(`/?now${own}`)),
          () => connection.send(get(`/?slow${own}`) + get(`/?sync${own}`)),
          () => connection.send(get(`/?slow${own}`).slice(0, pick(40))),
          () => void socket.end(),
          () => void socket.resetAndDestroy(),
          () => void socket.destroy(),
        ];
        const kind = kinds[pick(40)] ?? (() => connection.send(get(`/?slow${own}`)));
        await kind();
        for (let steps = pick(4); steps > 0; steps -= 1) await new Promise((resolve) => setImmediate(resolve));
      }
      visitors.set(`v${visitor}`, connection.received.toString('latin1'));
      socket.destroy();
    };
    const answers = setInterval(() => {
      for (const { query, answered } of rig.begun.splice(0)) {
        const kind = pick(8);
        if (kind === 0) answered.reject(new Error('a bug'));
        else if (kind > 1) answered.resolve(asResponse(answer(query)));
        else {
          const body = rig.stream(part(query.slice(0, 7), query.slice(7)));
          answered.resolve(asResponse(answer('', { fields: [['date', 'x']], body })));
        }
      }
    }, 1);
    onTestFinished(() => clearInterval(answers));
    await Promise.all(Array.from({ length: 60 }, visit));
    await expect.poll(() => [rig.load.requestsInFlight, rig.load.connections, rig.begun.length]).toEqual([0, 0, 0]);
    // What makes no request with what came before it is told of too, with the problem that it has.
    const told = (): number => rig.records.filter(({ problem = 'internal' }) => problem === 'internal').length;
    await expect.poll(told).toBe(rig.count - asked);
    expect(rig.load.waits).toBeGreaterThan(100);
    expect(new Set(rig.bugs.map(String))).toEqual(new Set(['Error: a bug']));
    // Each got answers to what it had asked for itself, in that order.
    const got = [...visitors].map(([visitor, text]) => ({ visitor, answers: [...text.matchAll(/-(v\d+)t(\d+)\./g)] }));
    expect(got.flatMap(({ answers: all }) => all).length).toBeGreaterThan(100);
    for (const { visitor, answers: all } of got) {
      expect(all.filter(([, of]) => of !== visitor)).toEqual([]);
      const turns = all.map(([, , turn]) => Number(turn));
      expect(turns).toEqual(turns.toSorted((a, b) => a - b));
    }
  });
});

/** Resolves when the connection has ended, or an answer to each request has come and nothing more. */
async function settled(connection: RawConnection): Promise<void> {
  const { socket } = connection;
  for (let quiet = 0, seen = -1; quiet < 12 && !socket.readableEnded && !socket.destroyed;) {
    await new Promise((resolve) => setImmediate(resolve));
    quiet = connection.received.length === seen ? quiet + 1 : 0;
    seen = connection.received.length;
  }
  if (socket.readableEnded && !socket.closed) await once(socket, 'close');
}
