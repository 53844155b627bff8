import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect, type Socket } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';

import { FakeClock } from '../support/clock.ts';
import { ParsedRequests, read } from '../support/fast-lane.ts';
import { head } from '../support/hostile.ts';
import { samples } from '../support/metrics.ts';
import { startTestProxy, type TestProxy } from '../support/proxy.ts';

/**
 * Two proxies from one configuration, one of them with `fastLane: false`, get the same bytes in the same chunks on as many
 * connections, with purges and time between. Whatever each sends, byte for byte, and counts at the end must be the same.
 */
const SEED = 20_261_126;
const EXCHANGES = 100_000;
const CONNECTIONS = 24;
/** Targets that are fresh in store when a round begins, so that it does not matter who asks first. */
const SHARED = 12;

/** Numbers from 0 up to `below`, the same ones for the same seed (mulberry32). */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b_79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296) * below);
  };
}

/** One request, and whether the connection ends with it. */
interface Sent {
  readonly bytes: string;
  readonly method: string;
  readonly isLast: boolean;
}

const host = 'Host: api.test';

/** What a kind of request is made from. */
interface Making {
  readonly target: string;
  /** Targets of the connection's own, and one that all share. */
  readonly own: string;
  readonly posted: string;
  readonly shared: string;
  readonly pick: (below: number) => number;
}

const get = (target: string, ...lines: string[]): string => head(`GET ${target} HTTP/1.1`, host, ...lines);
const asked = (bytes: string, more: Partial<Sent> = {}): Sent => ({ bytes, method: 'GET', isLast: false, ...more });
const ending = (bytes: string): Sent => asked(bytes, { isLast: true });
const post = (bytes: string): Sent => asked(bytes, { method: 'POST' });

/** Each as likely as the others; {@link PLAIN} times as likely is a plain GET. */
const kinds: readonly ((making: Making) => Sent)[] = [
  ({ target }) => asked(head(`HEAD ${target} HTTP/1.1`, host), { method: 'HEAD' }),
  ({ target, pick }) => asked(get(target, `Range: bytes=${pick(5)}-${5 + pick(30)}`)),
  ({ target }) => asked(get(target, 'If-None-Match: "v1"')),
  ({ target, pick }) => asked(get(target, `X-Tenant: ${pick(3)}`)),
  ({ target, pick }) => asked(get(target).replace('Host', ['host', 'HOST', 'hOST'][pick(3)] ?? '')),
  ({ target, pick }) => asked(get(target, `X-Unkeyed: ${pick(1_000_000)}`)),
  ({ target }) => asked(`\r\n${get(target)}`),
  // Content that would be a request if it were not content.
  ({ posted, shared }) =>
    post(head(`POST ${posted} HTTP/1.1`, host, `Content-Length: ${get(shared).length}`) + get(shared)),
  ({ posted, shared }) =>
    post(
      `${head(`POST ${posted} HTTP/1.1`, host, 'Transfer-Encoding: chunked')}${get(shared).length.toString(16)}\r\n${get(shared)}\r\n0\r\n\r\n`,
    ),
  ({ own }) => post(head(`POST ${own} HTTP/1.1`, host, 'Content-Length: 0')),
  ({ pick }) => asked(get(`/none/${pick(3)}`)),
  ({ target, pick }) => (pick(6) === 0 ? ending(get(target, 'Connection: close')) : asked(get(target))),
  ({ target, pick }) => (pick(6) === 0 ? ending(get(target).replace('/1.1', '/1.0')) : asked(get(target))),
  ({ target, pick }) => (pick(6) === 0 ? ending(get(target, 'Bad Name: x')) : asked(get(target))),
  ({ target }) => asked(get(target, 'Authorization: Bearer secret')),
  ({ target }) => asked(get(target, 'Cache-Control: no-cache')),
  ({ target }) => asked(get(target, 'Expect: 100-continue')),
  ({ target }) => asked(get(target, 'Connection: keep-alive')),
];
const PLAIN = 5;

/** Targets that come once, of answers that are there, of answers that are not, and of none. The connection's own, so that it does not matter who asks first. */
const onceOnly: readonly ((making: Making & { readonly sole: string }) => Sent)[] = [
  ...Array.from(
    { length: 14 },
    () =>
      ({ shared, sole }: Making & { readonly sole: string }) =>
        asked(get(`/s${shared.slice(shared.lastIndexOf('-') + 1)}?x=${sole}`)),
  ),
  ({ sole }) => asked(get(`/m/${sole}`)),
  ({ sole }) => asked(get(`/r/once-${sole}`)),
  ({ sole }) => asked(get(`/none/${sole}`)),
  // Refused, with the connection.
  ({ sole, pick }) =>
    pick(16) > 0
      ? asked(get(`/s1?x=${sole}`))
      : ending(get(`/c/${['{', '%zz', '../', '%2e/', '"', '[', '%c0%ae', '#'][pick(8)]}${sole}`)),
  // What ends a target or a line makes another request of it, and mostly none: the other tests have those.
  ({ sole, pick }) => {
    const odd = String.fromCharCode(pick(256));
    if (/[\s#]/.test(odd)) return asked(get(`/s1?x=${sole}`));
    if (/[!-~]/.test(odd)) return asked(get(`/s1?x=${sole}${odd}`));
    return pick(6) > 0 ? asked(get(`/s2?x=${sole}`)) : ending(get(`/s1?x=${sole}${odd}`));
  },
];

let onces = 0;

function requestFor(connection: number, pick: (below: number) => number): Sent {
  const shared = `/c/shared-${pick(SHARED)}`;
  const own = `/${pick(2) === 0 ? 'c' : 'h'}/own-${connection}-${pick(6)}`;
  const target = pick(20) === 0 ? own : shared;
  if (pick(4) === 0) {
    const kind = onceOnly[pick(onceOnly.length)];
    onces += 1;
    if (kind !== undefined) return kind({ target, own, posted: '', shared, pick, sole: `${connection}-${onces}` });
  }
  const kind = kinds[pick(kinds.length * (1 + PLAIN))];
  return kind?.({ target, own, posted: `/r/own-${connection}`, shared, pick }) ?? asked(get(target));
}

/** What one connection sends in one round: chunks, and what is to come for them. */
interface Turn {
  readonly chunks: readonly string[];
  readonly sent: readonly Sent[];
}

function turnOf(connection: number, pick: (below: number) => number): Turn {
  const many = pick(12) === 0 ? 2 + pick(8) : 1;
  const sent: Sent[] = [];
  for (let count = 0; count < many; count += 1) {
    const one = requestFor(connection, pick);
    // Behind others `node:http` writes the interim response into the answer, with and without the fast lane. And what is
    // owed in front of a request that is none leaves as far as it was written when that one was read, which is another
    // step of the event loop where `node:http` reads from the kernel itself.
    if (many > 1 && /Expect|Bad Name|[^\r\n -~]/.test(one.bytes)) continue;
    sent.push(one);
    if (one.isLast) break;
  }
  const bytes = sent.map((one) => one.bytes).join('');
  const chunks: string[] = [];
  const cuts = pick(16) === 0 ? 1 + pick(3) : 0;
  let from = 0;
  for (let cut = 0; cut < cuts; cut += 1) {
    const to = from + 1 + pick(Math.max(1, bytes.length - from - 1));
    chunks.push(bytes.slice(from, to));
    from = to;
  }
  chunks.push(bytes.slice(from));
  return { chunks: chunks.filter((chunk) => chunk !== ''), sent };
}

/** A client connection to one of the two. */
class Client {
  readonly #port: number;
  #socket: Socket | undefined;
  #chunks: Buffer[] = [];
  #looked = 0;
  isEnded = false;

  constructor(origin: string) {
    this.#port = Number(new URL(origin).port);
  }

  async open(): Promise<void> {
    if (this.#socket !== undefined && !this.isEnded) return;
    const socket = connect({ port: this.#port, host: '127.0.0.1', noDelay: true });
    this.#socket = socket;
    this.#chunks = [];
    this.isEnded = false;
    const end = (): void => {
      this.isEnded = true;
    };
    socket
      .on('data', (chunk: Buffer) => this.#chunks.push(chunk))
      .on('end', end)
      .on('error', end)
      .on('close', end);
    await once(socket, 'connect');
  }

  send(text: string): void {
    this.#socket?.write(text, 'latin1');
  }

  /** Whether something has come since it was last looked at. */
  get hasNews(): boolean {
    return this.#chunks.length !== this.#looked;
  }

  /** All that came since it was last emptied. */
  get received(): string {
    if (this.#chunks.length > 1) this.#chunks = [Buffer.concat(this.#chunks)];
    this.#looked = this.#chunks.length;
    return this.#chunks[0]?.toString('latin1') ?? '';
  }

  empty(): void {
    this.#chunks = [];
    this.#looked = 0;
  }

  close(): void {
    this.#socket?.destroy();
  }
}

/** Final answers that are there whole. */
function wholeAnswers(received: string, methods: readonly string[]): number {
  let count = 0;
  for (let from = 0; ;) {
    const end = received.indexOf('\r\n\r\n', from);
    if (end < 0) return count;
    const lines = received.slice(from, end).toLowerCase();
    const status = Number(lines.slice(9, 12));
    const length = Number(/\r\ncontent-length: (\d+)/.exec(lines)?.[1] ?? '0');
    const isBare = methods[count] === 'HEAD' || status < 200 || status === 304;
    from = end + 4 + (isBare ? 0 : length);
    if (from > received.length) return count;
    if (status >= 200) count += 1;
  }
}

/** Waits until both have sent all that they send; throws where it is not the same. */
async function compare(turn: Turn, pair: readonly Client[]): Promise<void> {
  const methods = turn.sent.map(({ method }) => method);
  const endsIt = turn.sent.at(-1)?.isLast === true;
  const isDone = (client: Client): boolean =>
    client.isEnded || (!endsIt && client.hasNews && wholeAnswers(client.received, methods) >= methods.length);
  const sinceMs = performance.now();
  for (let waiting = pair; waiting.length > 0; waiting = waiting.filter((client) => !isDone(client))) {
    if (performance.now() - sinceMs > 10_000) throw new Error(`no answer to ${JSON.stringify([turn, pair])}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
  const [one = '', other = ''] = pair.map(({ received }) => masked(received));
  if (one !== other) throw new Error(`not alike: ${JSON.stringify([turn, one, other])}`);
  for (const client of pair) client.empty();
}

/** Without dates of answers of the proxy's own, which tell the time of day. */
function masked(received: string): string {
  return received.replaceAll(/\r\ndate: [^\r]*/gi, '\r\ndate: -');
}

async function startOrigin(): Promise<string> {
  const server = createServer((request, response) => {
    let bytes = 0;
    request.on('data', (chunk: Buffer) => (bytes += chunk.length));
    request.on('end', () => {
      const body = `${request.method} ${request.url} ${bytes} ${'x'.repeat((request.url ?? '').length * 20)}`;
      response.sendDate = false;
      response.writeHead(200, {
        'Content-Type': 'text/plain',
        'Cache-Control': 'max-age=30',
        ETag: '"v1"',
        Date: 'Mon, 23 Nov 2026 12:00:00 GMT',
        'Content-Length': body.length,
      });
      response.end(body);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('not listening');
  return `http://127.0.0.1:${address.port}`;
}

function start(origin: string, fastLane: boolean, clock: FakeClock): Promise<TestProxy> {
  return startTestProxy({
    clock,
    yaml: `
server: { listen: 127.0.0.1:0, fastLane: ${fastLane} }
admin: { listen: 127.0.0.1:0 }
log: { level: silent }
upstreams:
  api: { origin: "${origin}", timeout: 30s }
routes:
  - { name: spelt, match: "/s:n", upstream: api, ttl: 60s, unknownQuery: drop }
  - { name: missed, match: /m/*, upstream: api, ttl: 60s }
  - { name: ruled, match: /c/*, upstream: api, ttl: 60s, headers: [x-tenant] }
  - { name: honoured, match: /h/*, upstream: api, upstreamCacheControl: honour }
  - { name: relayed, match: /r/*, upstream: api, cache: off }
`,
  });
}

/** What is counted of requests and limits; times apart. */
async function counted(proxy: TestProxy): Promise<readonly string[]> {
  return [...(await samples(proxy.admin))]
    .filter(([name]) =>
      /^forecache_(requests|sent_bytes|limit|problems|storage|store_responses|upstream_calls)/.test(name),
    )
    .map(([name, value]) => `${name} ${value}`)
    .toSorted();
}

async function hits(proxy: TestProxy): Promise<unknown> {
  const { body } = await proxy.call('GET', '/api/stored?limit=1000');
  if (typeof body !== 'object' || body === null || !('stored' in body) || !Array.isArray(body.stored)) return body;
  return body.stored.map((one: { readonly key: string; readonly hits: number }) => `${one.key} ${one.hits}`).toSorted();
}

it(`${EXCHANGES} generated exchanges are answered and counted alike with and without the fast lane`, async () => {
  const clock = new FakeClock();
  const proxies = [await start(await startOrigin(), true, clock), await start(await startOrigin(), false, clock)];
  const parsed = proxies.map((proxy) => new ParsedRequests(proxy.origin));
  const pairs = Array.from({ length: CONNECTIONS }, () => proxies.map((proxy) => new Client(proxy.origin)));
  onTestFinished(async () => {
    for (const client of pairs.flat()) client.close();
    for (const one of parsed) one[Symbol.dispose]();
    for (const proxy of proxies) await proxy[Symbol.asyncDispose]();
  });
  const pick = numbers(SEED);

  /** Sends all of it to both, chunk by chunk, and compares what comes. */
  const play = async (turns: readonly Turn[]): Promise<void> => {
    await Promise.all(pairs.flat().map((client) => client.open()));
    const steps = Math.max(...turns.map(({ chunks }) => chunks.length));
    for (let step = 0; step < steps; step += 1) {
      for (const [index, { chunks }] of turns.entries()) {
        for (const client of pairs[index] ?? []) client.send(chunks[step] ?? '');
      }
      if (steps > 1) await read();
    }
    for (const [index, turn] of turns.entries()) await compare(turn, pairs[index] ?? []);
  };

  const refill: Turn[] = Array.from({ length: SHARED }, (_, index) => {
    const sent = { bytes: head(`GET /c/shared-${index} HTTP/1.1`, host), method: 'GET', isLast: false };
    return { chunks: [sent.bytes], sent: [sent] };
  });
  const spelt: Turn[] = Array.from({ length: SHARED }, (_, index) => {
    const bytes = head(`GET /s${index} HTTP/1.1`, host);
    return { chunks: [bytes], sent: [{ bytes, method: 'GET', isLast: false }] };
  });
  const tenants: Turn[] = Array.from({ length: SHARED * 3 }, (_, index) => {
    const bytes = head(`GET /c/shared-${index % SHARED} HTTP/1.1`, host, `X-Tenant: ${Math.floor(index / SHARED)}`);
    return { chunks: [bytes], sent: [{ bytes, method: 'GET', isLast: false }] };
  });
  let exchanges = 0;
  for (let round = 0; exchanges < EXCHANGES; round += 1) {
    if (round % 100 === 0) {
      // Between rounds nothing is under way, so that both see it at the same place.
      if (pick(2) === 0) clock.advance(pick(90_000));
      else await Promise.all(proxies.map((proxy) => proxy.call('POST', '/api/purge', { all: true })));
      const all = [...refill, ...spelt, ...tenants];
      for (let from = 0; from < all.length; from += CONNECTIONS) await play(all.slice(from, from + CONNECTIONS));
      exchanges += refill.length + spelt.length + tenants.length;
    }
    const turns = pairs.map((_, connection) => turnOf(connection, pick));
    await play(turns);
    exchanges += turns.reduce((sum, { sent }) => sum + sent.length, 0);
  }
  const [with_ = [], without] = await Promise.all(proxies.map(counted));
  expect(with_).toEqual(without);
  expect(with_.length).toBeGreaterThan(5);
  // More than a list has place for; how often they were asked for tells nothing.
  await Promise.all(proxies.map((proxy) => proxy.call('POST', '/api/purge', { route: 'missed' })));
  const [some, same] = await Promise.all(proxies.map(hits));
  expect(some).toEqual(same);
  const [parsedWith = 0, parsedWithout = 0] = parsed.map(({ count }) => count);
  // A third of all were answered without being parsed.
  expect(parsedWithout - parsedWith).toBeGreaterThan(EXCHANGES / 3);
  const [laned = new Map<string, number>(), unlaned = new Map<string, number>()] = await Promise.all(
    proxies.map((proxy) => samples(proxy.admin)),
  );
  // And a tenth of all with a target that had not been parsed before.
  expect(laned.get('forecache_fast_lane_targets_total')).toBeGreaterThan(EXCHANGES / 10);
  expect(laned.get('forecache_fast_lane_requests_total')).toBe(parsedWithout - parsedWith);
  // Of them some had to wait for upstream.
  expect(laned.get('forecache_fast_lane_waits_total')).toBeGreaterThan(EXCHANGES / 100);
  expect(unlaned.get('forecache_fast_lane_requests_total')).toBe(0);
}, 300_000);
