import { STATUS_CODES } from 'node:http';
import { describe, expect, it } from 'vitest';

import type { ProxyResponse, StoreRead } from '../../src/cache/ports.ts';
import { type Found, ReadyAnswers } from '../../src/cache/ready-answers.ts';
import type { Ask } from '../../src/cache/respond.ts';
import { AnswerWriter } from '../../src/server/fast-lane-answer.ts';
import type { Wire } from '../../src/server/fast-lane-wire.ts';
import { ExchangeRig } from '../support/exchange-rig.ts';
import { keyedOf, tableOf } from '../support/operations.ts';
import { fieldsOf, freshnessWith, honourRoute, routeOf } from '../support/policy.ts';

function seeded(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** What `node:http` sends of an answer, byte for byte. */
function sent({ status, fields, body }: ProxyResponse, keepAlive: string): string {
  const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  const content = body.kind === 'bytes' ? body.bytes.toString('latin1') : '';
  return `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines}Connection: keep-alive\r\n${keepAlive}\r\n${content}`;
}

const routes = [routeOf(), honourRoute(), routeOf({}, { showKey: true })] as const;
/** About where a number gets a digit more, or one less. */
const turns = [0, 9, 10, 99, 100, 999, 1000, 9999, 10_000, 99_999] as const;

type Random = ReturnType<typeof seeded>;

const pick = <T>(random: Random, list: readonly [T, ...T[]]): T => list[random(list.length)] ?? list[0];

/** A stored response of any age and lifetime, and how it is asked for. `fraction`: of a millisecond. */
function storedAs(
  rig: ExchangeRig,
  random: Random,
  fraction: () => number,
): { readonly ask: Ask; readonly found: Found } {
  const responseTimeMs = rig.clock.nowMs() + random(5000) + fraction();
  const lines = ['cache-status: "a; ttl=7"; hit', 'cache-control: max-age=9', 'age: 3', 'x-a: b'];
  const item = rig.stored('/forecast', {
    status: pick(random, [200, 204, 404]),
    fields: fieldsOf(...lines.slice(random(4))),
    responseTimeMs,
    initialAgeMs: pick(random, [0, pick(random, turns) * 1000 + random(3000) + fraction()]),
    freshness: freshnessWith({
      freshUntilMs: responseTimeMs + pick(random, turns) * 1000 + random(9000) + fraction(),
      retainUntilMs: responseTimeMs + pick(random, [1e9, 1e9, random(9000)]),
      source: 'cap',
      mustRevalidate: random(2) === 0,
    }),
    body: Buffer.alloc(pick(random, [0, 1, 6, 16_384, 16_385]), 'b'),
  });
  const staleSinceMs = pick(random, [undefined, undefined, responseTimeMs + random(9000) + fraction()]);
  const place = { again: () => true, holds: () => true };
  const read: StoreRead = { item, staleSinceMs, tier: 'memory', tally: { hits: 0 }, place };
  const keyed = keyedOf(tableOf([routes[0]]), '/forecast');
  const ask = { route: pick(random, routes), keyed, requestFields: [], head: random(4) === 0 };
  return { ask, found: { read, item, marker: undefined, isSettled: true } };
}

/** Times of its life: anywhere, in the steps of a second, about its end, and before it came. */
function timesOf({ item }: Found, random: Random, fraction: () => number): readonly number[] {
  const { responseTimeMs, freshness } = item;
  return Array.from({ length: 40 }, (_none, look) => {
    const lifeMs = Math.floor(freshness.freshUntilMs - responseTimeMs);
    const steps = pick(random, [random(2000), random(lifeMs + 1), lifeMs + random(2000) - 1000, look * 150 - 500]);
    return responseTimeMs + steps + pick(random, [0, fraction()]);
  });
}

const whole = ({ first, rest }: Wire): string => first.toString('latin1') + (rest?.deref()?.toString('latin1') ?? '');

interface Looked {
  /** What is sent; `undefined`: nothing of the wire. */
  readonly bytes: string | undefined;
  /** What an answer that is composed anew sends. */
  readonly anew: string | undefined;
  readonly isSpaced: boolean;
  /** Bytes that are still being sent are as they were. */
  readonly isKept: boolean;
}

/** Looks at one stored response at all times of its life. */
function looksAt(rig: ExchangeRig, random: Random, fraction: () => number): readonly Looked[] {
  const keepAliveMs = pick(random, [0, 900, 5000]);
  const keepAlive = keepAliveMs > 0 ? `Keep-Alive: timeout=${Math.floor(keepAliveMs / 1000)}\r\n` : '';
  const { ask, found } = storedAs(rig, random, fraction);
  const composed = (nowMs: number) => new ReadyAnswers({ purgeLog: rig.log }).make(ask, found, nowMs);
  const given = composed(found.item.responseTimeMs + random(3000));
  if (given?.repeat === undefined) return [];
  const { repeat } = given;
  const wire = new AnswerWriter({ keepAliveMs }).wireOf(given, repeat);
  return timesOf(found, random, fraction).map((nowMs) => {
    const before = wire.first;
    wire.isLent = random(5) === 0;
    const lent = wire.isLent ? Buffer.from(before) : before;
    const bytes = wire.turnTo(nowMs, repeat) ? whole(wire) : undefined;
    const anew = composed(nowMs);
    const isSpaced = wire.first.length !== before.length;
    return { bytes, anew: anew && sent(anew, keepAlive), isSpaced, isKept: lent.equals(before) };
  });
}

describe('The bytes of an answer that is repeated', () => {
  it.each([
    ['whole milliseconds', 0],
    ['fractions of them', 1],
  ])('are those of one composed anew, at any time and in any order of times, by clocks of %s', (_what, parts) => {
    using rig = new ExchangeRig({});
    const random = seeded(11 + parts);
    const fraction = (): number => (parts === 0 ? 0 : random(1000) / 1000);
    const looks = Array.from({ length: 500 }, () => looksAt(rig, random, fraction)).flat();
    const said = looks.filter(({ bytes }) => bytes !== undefined);
    expect(said.filter(({ bytes, anew }) => bytes !== anew)).toEqual([]);
    expect(looks.filter(({ isKept }) => !isKept)).toEqual([]);
    // Where sums of fractions round to another lifetime it is looked up anew.
    const refused = looks.filter(({ bytes, anew }) => bytes === undefined && anew !== undefined);
    expect(refused.length).toBeLessThanOrEqual(parts === 0 ? 0 : said.length / 100);
    expect(said.length).toBeGreaterThan(3000);
    expect(looks.filter(({ anew }) => anew === undefined).length).toBeGreaterThan(300);
    expect(looks.filter(({ isSpaced }) => isSpaced).length).toBeGreaterThan(100);
  });
});
