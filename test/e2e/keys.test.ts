import { expect, it } from 'vitest';

import { callsWith, startMission, startUpstreams } from '../support/mission.ts';
import { Dice, spellText, unfold, unroundNumber } from '../support/spellings.ts';

/** A hundred ways to ask the same things: order, case, white space, coding, defaults said or left out, noise. */
function spellings(count: number): readonly (readonly [question: number, target: string])[] {
  const dice = new Dice(26);
  const pair = (name: string, value: string): string => `${spellText(dice, name)}=${spellText(dice, value)}`;
  const noise = (): string => `${dice.pick(['utm_source', 'cb', '__proto__'])}=${dice.roll(1000)}`;
  return Array.from({ length: count }, (_, index) => {
    const question = index % 4;
    const params = questions[question]?.(dice).map(([name, value]) => pair(name, value)) ?? [];
    // Unknown parameters are dropped on this route, kept (and keyed) on the others.
    if (question === 0 && dice.chance(2)) params.push(noise());
    const path = ['/weather/forecast', '/weather/historical', '/weather/point', '/events/search'][question];
    return [question, `${path}?${dice.shuffled(params).join('&')}`] as const;
  });
}

type Pairs = readonly (readonly [name: string, value: string])[];

const questions: readonly ((dice: Dice) => Pairs)[] = [
  (dice) => [
    ['location', unfold(dice, 'são paulo')],
    ...(dice.chance(2) ? [['days', unroundNumber(dice, '7', false)] as const] : []),
    ...(dice.chance(2) ? [['units', 'metric'] as const] : []),
  ],
  (dice) => [
    ['location', unfold(dice, 'new york')],
    ['date', '2026-11-01'],
  ],
  (dice) => [
    ['lat', dice.pick(['52.52', '52.520', '52.5199', '+52.52', '5252e-2'])],
    ['lon', dice.pick(['13.41', '13.4100', '13.409', '1.341e1'])],
    ['fields', dice.shuffled(['temperature_2m', 'precipitation', 'cloud_cover']).join(',')],
  ],
  (dice) => [
    ['location', unfold(dice, 'lima')],
    ['categories', dice.shuffled(['Music', 'sports', 'ARTS']).join(',')],
  ],
];

it('gives every spelling of a question the same key, in every process', async () => {
  const upstreams = await startUpstreams();
  const processes = await Promise.all([startMission(upstreams), startMission(upstreams)]);
  const asked = spellings(100);
  expect(new Set(asked.map(([, target]) => target)).size).toBeGreaterThan(80);
  const keysOf = await Promise.all(
    processes.map(async ({ call }) => {
      const keys: unknown[] = [];
      for (const [, url] of asked) keys.push((await call('/api/explain', { url })).body['key']);
      return keys;
    }),
  );
  const [first, second] = keysOf;
  expect(second).toEqual(first);
  const keys = [0, 1, 2, 3].map((question) => new Set(first?.filter((_, index) => asked[index]?.[0] === question)));
  expect(keys.map((set) => [...set])).toEqual([
    ['weather-forecast|/v1/forecast?days=7&location=s%C3%A3o%20paulo&units=metric'],
    ['weather-historical|/v1/historical?date=2026-11-01&location=new%20york'],
    ['weather-point|/v1/point?fields=cloud_cover,precipitation,temperature_2m&lat=52.52&lon=13.41'],
    ['event-search|/v2/search?categories=arts,music,sports&location=lima'],
  ]);
}, 60_000);

it('calls upstream once for a hundred spellings', async () => {
  const { get, weather, events } = await startMission();
  const hits: boolean[] = [];
  for (const [, target] of spellings(100)) hits.push((await get(target)).cacheStatus.includes('; hit;'));
  expect(hits.filter((hit) => !hit)).toHaveLength(4);
  expect(callsWith(weather, 'paulo')).toBe(1);
  expect(callsWith(weather, '/v1/historical')).toBe(1);
  expect(callsWith(weather, '/v1/point')).toBe(1);
  expect(callsWith(events, 'categories')).toBe(1);
});
