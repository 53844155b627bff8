import { request as httpRequest } from 'node:http';
import { fileURLToPath } from 'node:url';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import type { ProxyProcess } from '../../src/demo/proxy-process.ts';
import { type Origin, type OriginPeer, type OriginRequest, startOrigin } from './origin.ts';
import { startProgram } from './program.ts';

/**
 * A field's value, one line or several; a function makes it from the origin's clock (ms) when the answer is sent.
 * `{path}` stands for the path of the case.
 */
export type FieldValue = string | readonly string[] | ((nowMs: number) => string);
export type Fields = Readonly<Record<string, FieldValue>>;

/** What an answer or a request must hold: the lines joined by `, `; `null`: no line of that name. */
export type Expected = Readonly<Record<string, string | RegExp | null | ((nowMs: number) => string)>>;

/** An interim response, names of its fields in lower case. */
export type Interim = readonly [status: number, fields: Readonly<Record<string, string>>];

/** How the origin answers if it is asked. */
export interface OriginAnswer {
  readonly status?: number;
  readonly fields?: Fields;
  /** Unless told otherwise it names the case and the exchange, so that each answer shows where it is from. */
  readonly content?: string;
  /** Interim responses that go out first. */
  readonly interim?: readonly Interim[];
  /** The connection is closed instead of an answer. */
  readonly close?: boolean;
  /** No Content-Length: the content ends with the connection, in order or by a reset. */
  readonly until?: 'fin' | 'reset';
  /** The answer comes this much later. */
  readonly delayMs?: number;
}

/**
 * Where an answer came from.
 * `store`: the origin was not asked. `upstream`: it was asked once, and the answer is its.
 * `validated`: it was asked once, with a condition, said 304, and the answer is the stored one.
 * `stored-after-failure`: it was asked, did not give an answer that counts, and the answer is the stored one.
 * `proxy`: the answer is the proxy's own; nothing of upstream's is in it, and the origin was not asked unless the exchange
 * says how it answers.
 */
export type From = 'store' | 'upstream' | 'validated' | 'stored-after-failure' | 'proxy';

export interface Exchange {
  readonly method?: string;
  /** Behind the case's own path: `?a=1`, `/other`. */
  readonly target?: string;
  readonly fields?: Readonly<Record<string, string | readonly string[]>>;
  readonly content?: string;
  readonly origin?: OriginAnswer;
  readonly from: From;
  /** Of which exchange (from 1) the content is; unless told otherwise of the last one that the origin answered whole. */
  readonly of?: number;
  /** Of the answer; unless told otherwise what the origin said, in the exchange that it is from. */
  readonly status?: number;
  /** Of the answer, where it is not what the origin sent whole. */
  readonly expectContent?: string;
  readonly expect?: Expected;
  /** Of the request as the origin got it. */
  readonly sent?: Expected;
  readonly sentMethod?: string;
  /** What the origin was asked for, behind the path of the case. */
  readonly sentTarget?: string;
  readonly cacheStatus?: string | RegExp;
  /** Interim responses that the client must have got, and no other. */
  readonly interim?: readonly Interim[];
  /** Before the exchange. */
  readonly waitMs?: number;
  /** Before the exchange, until the origin has been asked this often in all: what runs in the background is waited for. */
  readonly afterAsked?: number;
  /** The request is repeated until `Cache-Status` is like this: what runs in the background has an end that is seen so. */
  readonly until?: RegExp;
  /** The answer may break off, and what came of it is not looked at. */
  readonly cut?: boolean;
  /** The origin is asked this often behind an answer from store, which is counted at the end of the case. */
  readonly background?: number;
}

export interface CachingCase {
  /** A sentence. */
  readonly name: string;
  readonly exchanges: readonly Exchange[];
}

/** A date this many seconds from now, as IMF-fixdate. */
export function at(seconds: number): (nowMs: number) => string {
  return (nowMs) => new Date(nowMs + seconds * 1000).toUTCString();
}

/** Longer than this nothing is fresh that said `max-age=1` and came without a Date. */
export const pastOneSecondMs = 1100;

/** How long a loaded machine may take from one exchange to the next, in seconds. */
const slackSeconds = 60;

/** An `Age` of so many seconds, and what a loaded machine adds. */
export function ageFrom(seconds: number): RegExp {
  return new RegExp(`^(?:${upwards(seconds)})$`);
}

/** A `Cache-Status` with so many seconds left, less what a loaded machine takes. */
export function ttlUpTo(seconds: number): RegExp {
  return new RegExp(`; ttl=(?:${upwards(seconds - slackSeconds)})(?:;|$)`);
}

function upwards(seconds: number): string {
  return Array.from({ length: slackSeconds + 1 }, (_, index) => String(seconds + index)).join('|');
}

/** First exchange of a case: the origin is asked, and says this. */
export function first(fields: Fields, more: Partial<Exchange> & { readonly answer?: OriginAnswer } = {}): Exchange {
  const { answer, ...rest } = more;
  return { from: 'upstream', origin: { fields, ...answer }, ...rest };
}

/** The stored answer is used. */
export function reused(more: Partial<Exchange> = {}): Exchange {
  return { from: 'store', ...more };
}

/** The origin is asked again and gives another answer. */
export function askedAgain(more: Partial<Exchange> = {}): Exchange {
  return { from: 'upstream', ...more };
}

/** A case of two: what the origin says is used for the second request, or not. */
export function twice(
  name: string,
  fields: Fields,
  from: 'store' | 'upstream',
  more: Partial<Exchange> = {},
): CachingCase {
  return { name, exchanges: [first(fields), { from, ...more }] };
}

const honour = fileURLToPath(new URL('../../config/honour.yaml', import.meta.url));

/** Cases at once: each has a connection or two open. */
const atOnce = 40;

/**
 * Runs the groups of cases against the built program with `config/honour.yaml`, one program and one origin for a whole
 * file, each case on a path of its own, many at once: one that waits for a second holds up no other. Each is a test.
 */
export function testCaching(groups: Readonly<Record<string, readonly CachingCase[]>>): void {
  const faults = new Map<CachingCase, readonly string[]>();
  let stage: Stage | undefined;
  beforeAll(async () => {
    stage = await openStage();
    await runAll(stage, Object.values(groups).flat(), faults);
  });
  afterAll(async () => {
    await stage?.program[Symbol.asyncDispose]();
    await stage?.origin.close();
  });
  describe.each(Object.entries(groups))('%s', (_title, cases) => {
    it.each(cases.map((one) => [one.name, one] as const))('%s', (_name, one) => {
      expect(faults.get(one)).toEqual([]);
    });
  });
}

async function runAll(
  stage: Stage,
  cases: readonly CachingCase[],
  faults: Map<CachingCase, readonly string[]>,
): Promise<void> {
  const waiting = [...cases.entries()];
  const lane = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const [index, one] = next;
      faults.set(one, await runCase(stage, one, `/case-${index + 1}`).catch((error: unknown) => [String(error)]));
    }
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
}

interface Stage {
  readonly program: ProxyProcess & AsyncDisposable;
  readonly origin: Origin;
  /** By path of the case. */
  readonly acts: Map<string, Act>;
}

/** One case under way. */
interface Act {
  readonly path: string;
  current: { readonly number: number; readonly exchange: Exchange };
  /** What came to the origin, with the number of the exchange. */
  readonly asked: { readonly number: number; readonly request: OriginRequest; readonly sent: SentAnswer | undefined }[];
}

/** What the origin sent. */
interface SentAnswer {
  readonly status: number;
  readonly lines: readonly (readonly [name: string, value: string])[];
  readonly content: string;
  readonly nowMs: number;
}

async function openStage(): Promise<Stage> {
  const acts = new Map<string, Act>();
  const origin = await startOrigin(async (request, peer) => {
    const act = acts.get(/^\/[^/?]+/.exec(request.target)?.[0] ?? '');
    if (act === undefined) throw new Error(`nobody knows ${request.target}`);
    await play(act, request, peer);
  });
  try {
    const program = await startProgram({
      config: { file: honour },
      env: { FORECACHE_UPSTREAM: origin.url, FORECACHE_LOG_LEVEL: 'warn' },
    });
    return { program, origin, acts };
  } catch (error) {
    await origin.close();
    throw error;
  }
}

/** The origin's answer to one request. */
async function play(act: Act, request: OriginRequest, peer: OriginPeer): Promise<void> {
  const { number, exchange } = act.current;
  const answer = exchange.origin ?? {};
  if (answer.close === true) {
    act.asked.push({ number, request, sent: undefined });
    peer.end();
    return;
  }
  const sent = answerOf(answer, { path: act.path, usual: `${act.path} exchange ${number}` });
  act.asked.push({ number, request, sent });
  if (answer.delayMs !== undefined) await delay(answer.delayMs);
  for (const [status, fields] of answer.interim ?? []) {
    const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
    await peer.write(`HTTP/1.1 ${status} Interim\r\n${lines.join('')}\r\n`);
  }
  const head = sent.lines.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  const content = request.method === 'HEAD' || isBare(sent.status) ? '' : sent.content;
  await peer.write(`HTTP/1.1 ${sent.status} Said\r\n${head}\r\n${content}`);
  if (answer.until === 'fin') peer.end();
  if (answer.until === 'reset') peer.reset();
}

function isBare(status: number): boolean {
  return status === 204 || status === 304;
}

function answerOf(
  answer: OriginAnswer,
  { path, usual }: { readonly path: string; readonly usual: string },
): SentAnswer {
  const nowMs = Date.now();
  const { status = 200, content = usual } = answer;
  const lines = Object.entries(answer.fields ?? {}).flatMap(([name, value]) => {
    const values = typeof value === 'function' ? [value(nowMs)] : typeof value === 'string' ? [value] : value;
    return values.map((one) => [name, one.replaceAll('{path}', path)] as const);
  });
  if (isBare(status)) return { status, lines, content: '', nowMs };
  if (answer.until !== undefined) return { status, lines, content, nowMs };
  const length = String(Buffer.byteLength(content, 'latin1'));
  return { status, lines: [...lines, ['Content-Length', length]], content, nowMs };
}

/** Plays one case; what differs from what it expects, in words. */
async function runCase(stage: Stage, one: CachingCase, path: string): Promise<readonly string[]> {
  const act: Act = { path, current: { number: 0, exchange: { from: 'store' } }, asked: [] };
  stage.acts.set(path, act);
  const faults: string[] = [];
  /** The exchange whose answer upstream gave whole last. */
  let whole = 0;
  const behind: { number: number; count: number }[] = [];
  for (const [index, exchange] of one.exchanges.entries()) {
    const number = index + 1;
    const answer = await runExchange(stage, act, { number, exchange });
    if (answer === undefined) continue;
    const asked = act.asked.filter((entry) => entry.number === number);
    if (exchange.from === 'upstream' && isWhole(asked.at(-1)?.sent)) whole = number;
    const source = exchange.from === 'upstream' ? number : (exchange.of ?? whole);
    const basis = act.asked.find((entry) => entry.number === source && entry.sent !== undefined)?.sent;
    const seen = { path, exchange, answer, asked, basis };
    const found = [...sourceFaults(seen), ...fieldFaults(seen), ...otherFaults(seen)];
    const status = answer.field('cache-status') ?? 'none';
    faults.push(...found.map((fault) => `exchange ${number} (Cache-Status: ${status}): ${fault}`));
    if (exchange.background !== undefined) behind.push({ number, count: exchange.background });
  }
  return [...faults, ...(await behindFaults(act, behind))];
}

/** What was asked behind answers from store: it may come later than the answer, but within its exchange (`afterAsked`). */
async function behindFaults(
  act: Act,
  behind: readonly { readonly number: number; readonly count: number }[],
): Promise<readonly string[]> {
  const faults: string[] = [];
  for (const { number, count } of behind) {
    const asked = (): number => act.asked.filter((entry) => entry.number === number).length;
    const giveUpAtMs = performance.now() + behindPatienceMs;
    while (asked() < count && performance.now() < giveUpAtMs) await delay(5);
    faults.push(...differs(`the number of requests upstream behind exchange ${number}`, asked(), count));
  }
  return faults;
}

/** The client's answer; `undefined` where nobody looks at it. */
async function runExchange(stage: Stage, act: Act, current: Act['current']): Promise<ClientAnswer | undefined> {
  const { exchange } = current;
  if (exchange.waitMs !== undefined) await delay(exchange.waitMs);
  await untilAsked(act, exchange.afterAsked ?? 0);
  act.current = current;
  const answer = sendUntil(stage.program.proxy, act.path + (exchange.target ?? ''), exchange);
  if (exchange.cut !== true) return answer;
  // Whole or broken off: either may be.
  await answer.catch(() => undefined);
  return undefined;
}

const behindPatienceMs = 10_000;

/** Resolves when the origin has been asked that often. */
async function untilAsked(act: Act, count: number): Promise<void> {
  const giveUpAtMs = performance.now() + 10_000;
  while (act.asked.length < count) {
    if (performance.now() > giveUpAtMs) throw new Error(`the origin was asked ${act.asked.length} times, not ${count}`);
    await delay(5);
  }
}

function isWhole(sent: SentAnswer | undefined): boolean {
  return sent !== undefined && sent.status !== 304 && sent.status !== 206;
}

interface Seen {
  /** Of the case. */
  readonly path: string;
  readonly exchange: Exchange;
  readonly answer: ClientAnswer;
  /** What the origin was asked meanwhile. */
  readonly asked: Act['asked'];
  /** What the origin had said in the exchange that the answer is to be from. */
  readonly basis: SentAnswer | undefined;
}

function differs(what: string, is: unknown, should: unknown): readonly string[] {
  return is === should ? [] : [`${what} is ${JSON.stringify(is)}, not ${JSON.stringify(should)}`];
}

/** Where the answer came from, by what the origin was asked, by its status, its content and its fields. */
function sourceFaults(seen: Seen): readonly string[] {
  const { exchange, answer, asked, basis } = seen;
  const { from } = exchange;
  if (from === 'proxy') {
    return [
      ...askedFaults(exchange, asked),
      ...differs('status', answer.status, exchange.status),
      ...differs('content-type', answer.field('content-type'), 'application/problem+json'),
    ];
  }
  const faults = [...askedFaults(exchange, asked)];
  if (basis === undefined) return [...faults, `the origin never gave the answer that is to come from ${from}`];
  faults.push(...differs('status', answer.status, exchange.status ?? basis.status));
  const same = answer.status === basis.status;
  const content = exchange.expectContent ?? (same ? basis.content : undefined);
  const bare = exchange.method === 'HEAD' || isBare(answer.status);
  if (content !== undefined || bare) faults.push(...differs('content', answer.content, bare ? '' : content));
  // A 304 of upstream's replaces fields: the exchange says which.
  if (same && from !== 'validated') faults.push(...replayFaults(exchange, answer, basis));
  return faults;
}

function askedFaults({ from, background, origin }: Exchange, asked: Act['asked']): readonly string[] {
  if (background !== undefined) return [];
  // One that closes the connection may be asked again on a new one.
  if (from === 'stored-after-failure' || (from === 'proxy' && origin !== undefined))
    return asked.length > 0 ? [] : ['the origin was not asked'];
  const faults = differs('the number of requests upstream', asked.length, from === 'store' || from === 'proxy' ? 0 : 1);
  if (from !== 'validated') return faults;
  const conditional = asked[0]?.request.lines.some(([name]) => /^if-(none-match|modified-since)$/i.test(name));
  return conditional === true ? faults : [...faults, 'the request upstream had no condition'];
}

function fieldFaults({ exchange, answer, asked, basis }: Seen): readonly string[] {
  const nowMs = basis?.nowMs ?? 0;
  const lines = asked[0]?.request.lines ?? [];
  return [
    ...Object.entries(exchange.expect ?? {}).flatMap(([name, expected]) =>
      unlike(`${name} of the answer`, answer.field(name), { expected, nowMs }),
    ),
    ...Object.entries(exchange.sent ?? {}).flatMap(([name, expected]) =>
      unlike(`${name} of the request upstream`, joined(lines.flat(), name), { expected, nowMs }),
    ),
  ];
}

interface Wanted {
  readonly expected: Expected[string] | undefined;
  readonly nowMs: number;
}

function unlike(what: string, value: string | undefined, { expected, nowMs }: Wanted): readonly string[] {
  if (expected === undefined) return [];
  if (expected === null) return differs(what, value, undefined);
  if (expected instanceof RegExp) {
    return value !== undefined && expected.test(value) ? [] : [`${what} is ${String(value)}, not like ${expected}`];
  }
  return differs(what, value, typeof expected === 'string' ? expected : expected(nowMs));
}

function otherFaults({ path, exchange, answer, asked }: Seen): readonly string[] {
  const { sentMethod, sentTarget, interim, cacheStatus } = exchange;
  const call = asked[0]?.request;
  const faults = [
    ...unlike('Cache-Status', answer.field('cache-status') ?? '', { expected: cacheStatus, nowMs: 0 }),
    ...(sentMethod === undefined ? [] : differs('the method upstream', call?.method, sentMethod)),
    ...(sentTarget === undefined ? [] : differs('the target upstream', call?.target, path + sentTarget)),
  ];
  if (interim === undefined) return faults;
  return [...faults, ...differs('interim responses', JSON.stringify(answer.interim), JSON.stringify(interim))];
}

/** Not passed on, or not stored (RFC 9111 §3.1). */
const hopByHop = [
  'connection',
  'content-length',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authentication-info',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
];

/** Every end-to-end field comes as the origin sent it (RFC 9111 §3.1), but for those that the exchange speaks of. */
function replayFaults(exchange: Exchange, answer: ClientAnswer, basis: SentAnswer): readonly string[] {
  const lines = basis.lines.flat();
  const spoken = Object.keys(exchange.expect ?? {});
  const nominated = (joined(lines, 'connection') ?? '').split(',').map((name) => name.trim());
  const left = new Set([...hopByHop, ...nominated, ...spoken, 'age', 'cache-status'].map((name) => name.toLowerCase()));
  const names = new Set(basis.lines.map(([name]) => name.toLowerCase()));
  return [...names]
    .filter((name) => !left.has(name))
    .flatMap((name) =>
      differs(`${name}, which is to be as the origin sent it,`, answer.field(name), joined(lines, name)),
    );
}

interface ClientAnswer {
  readonly status: number;
  /** All lines of the field joined by `, `; `undefined` without one. */
  field(name: string): string | undefined;
  readonly content: string;
  readonly interim: readonly Interim[];
}

const untilPatienceMs = 10_000;

async function sendUntil(proxy: string, target: string, exchange: Exchange): Promise<ClientAnswer> {
  const giveUpAtMs = performance.now() + untilPatienceMs;
  for (;;) {
    const answer = await send(proxy, target, exchange);
    if (exchange.until === undefined || exchange.until.test(answer.field('cache-status') ?? '')) return answer;
    if (performance.now() > giveUpAtMs) return answer;
    await delay(5);
  }
}

/** One request, each field line as it is written in the case. */
function send(proxy: string, target: string, exchange: Exchange): Promise<ClientAnswer> {
  const { hostname, port } = new URL(proxy);
  const headers: string[] = ['Host', 'proxy.example', 'Connection', 'close'];
  for (const [name, value] of Object.entries(exchange.fields ?? {})) {
    for (const one of typeof value === 'string' ? [value] : value) headers.push(name, one);
  }
  if (exchange.content !== undefined) headers.push('Content-Length', String(Buffer.byteLength(exchange.content)));
  return new Promise((resolve, reject) => {
    const interim: Interim[] = [];
    const request = httpRequest(
      { host: hostname, port: Number(port), path: target, method: exchange.method ?? 'GET', headers, agent: false },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('aborted', () => reject(new Error('the answer broke off')));
        response.on('end', () => {
          resolve({
            status: response.statusCode ?? 0,
            field: (name) => joined(response.rawHeaders, name),
            content: Buffer.concat(chunks).toString('latin1'),
            interim,
          });
        });
      },
    );
    request.on('information', ({ statusCode, rawHeaders }) => {
      const names = rawHeaders.filter((_text, index) => index % 2 === 0);
      const fields = names.map((name) => [name.toLowerCase(), joined(rawHeaders, name) ?? ''] as const);
      interim.push([statusCode, Object.fromEntries(fields)]);
    });
    request.on('error', reject);
    request.end(exchange.content);
  });
}

function joined(rawHeaders: readonly string[], name: string): string | undefined {
  const values: string[] = [];
  for (let index = 0; index < rawHeaders.length; index += 2) {
    if (rawHeaders[index]?.toLowerCase() === name.toLowerCase()) values.push(rawHeaders[index + 1] ?? '');
  }
  return values.length === 0 ? undefined : values.join(', ');
}
