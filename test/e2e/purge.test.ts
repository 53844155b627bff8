import { describe, expect, it } from 'vitest';

import { ask, json } from '../support/http.ts';
import { callsWith, startMission, startStillMission, type Mission } from '../support/mission.ts';

const asked = {
  'forecast lima': '/weather/forecast?location=lima',
  'forecast lima, 3 days': '/weather/forecast?location=lima&days=3',
  'forecast lima sur': '/weather/forecast?location=lima%20sur',
  'past of lima': '/weather/historical?location=lima&date=2026-11-01',
  'point in lima': '/weather/point?lat=-12.04&lon=-77.03',
  'events lima': '/events/search?location=lima',
  'events lima sur': '/events/search?location=lima%20sur',
} as const;
type Question = keyof typeof asked;
const questions = Object.keys(asked).filter((name): name is Question => name in asked);

/** Forecast and events of the three configured locations. */
const warmed = 6;

/** A program that holds the questions' answers and those of the configured warm jobs, and nothing else. */
async function filledMission(): Promise<Mission> {
  const mission = await startMission();
  // The jobs themselves run within ten seconds; what they want is the same and will be there.
  await mission.call('/api/warm', { locations: ['berlin', 'paris', 'new york'] });
  expect(await stateOf(mission)).toEqual(Object.fromEntries(questions.map((name) => [name, 'miss'])));
  return mission;
}

async function stateOf(mission: Mission): Promise<Record<string, string>> {
  const states: (readonly [string, string])[] = [];
  for (const name of questions) {
    const { status, cacheStatus } = await mission.get(asked[name]);
    states.push([name, status === 200 && cacheStatus.startsWith('forecache; hit;') ? 'hit' : 'miss']);
  }
  return Object.fromEntries(states);
}

const receipt = {
  id: expect.any(String),
  complete: true,
  sidecars: [{ id: expect.any(String), appliedMs: expect.any(Number) }],
  missing: [],
};

const rows: readonly (readonly [object, number, readonly Question[]])[] = [
  [{ key: 'weather-forecast|/v1/forecast?days=3&location=lima&units=metric' }, 1, ['forecast lima, 3 days']],
  [{ key: 'weather-forecast|/v1/forecast?days=3' }, 0, []],
  [{ url: '/weather/forecast?units=metric&location=%20LIMA' }, 1, ['forecast lima']],
  [{ route: 'weather-historical' }, 1, ['past of lima']],
  [{ route: 'event-search' }, 2 + warmed / 2, ['events lima', 'events lima sur']],
  [{ prefix: '/weather/forecast?days=7&location=lima' }, 2, ['forecast lima', 'forecast lima sur']],
  [
    { prefix: '/weather/' },
    5 + warmed / 2,
    ['forecast lima', 'forecast lima, 3 days', 'forecast lima sur', 'past of lima', 'point in lima'],
  ],
  [{ tag: 'location:lima' }, 4, ['forecast lima', 'forecast lima, 3 days', 'past of lima', 'events lima']],
  [{ tag: 'upstream:events' }, 2 + warmed / 2, ['events lima', 'events lima sur']],
  [
    { tags: ['location:lima sur', 'point:-12.04,-77.03', 'location:nowhere'] },
    3,
    ['forecast lima sur', 'point in lima', 'events lima sur'],
  ],
  [{ all: true }, questions.length + warmed, questions],
];

describe('a purge of the built program', () => {
  it.each(rows)('by %j covers %d stored responses, after a dry run that changes nothing', async (by, matched, gone) => {
    const mission = await filledMission();
    expect(await mission.call('/api/purge', { ...by, dryRun: true })).toMatchObject({
      status: 200,
      body: { complete: true, matched },
    });
    expect(await stateOf(mission)).toEqual(Object.fromEntries(questions.map((name) => [name, 'hit'])));
    expect(await mission.call('/api/purge', by)).toMatchObject({ status: 200, body: { ...receipt, matched } });
    const states = questions.map((name) => [name, gone.includes(name) ? 'miss' : 'hit']);
    expect(await stateOf(mission)).toEqual(Object.fromEntries(states));
  });

  it('by the PURGE method takes the path and query like a request', async () => {
    const mission = await filledMission();
    const purge = { method: 'PURGE' };
    const reply = await ask(mission.admin, '/weather/forecast?days=07&location=Lima&units=METRIC', purge);
    expect([reply.status, json(reply)]).toEqual([400, expect.objectContaining({ parameter: 'units' })]);
    const good = await ask(mission.admin, '/weather/forecast?days=07&location=Lima', purge);
    expect([good.status, json(good)]).toMatchObject([200, { ...receipt, matched: 1 }]);
    expect(await stateOf(mission)).toMatchObject({ 'forecast lima': 'miss', 'forecast lima sur': 'hit' });
    // Agents cannot purge: on their listener it is a method like any other, and this upstream does not know it.
    await mission.get(asked['forecast lima'], purge);
    expect((await mission.get(asked['forecast lima'])).cacheStatus).toContain('; hit;');
  });

  it('of a place covers its weather and its events, warmed ones too', async () => {
    const mission = await filledMission();
    const own = ['/weather/forecast?location=berlin&days=2', '/events/search?location=Berlin&categories=music'];
    for (const target of own) await mission.get(target);
    expect(await mission.call('/api/purge', { tag: 'location:berlin' })).toMatchObject({ body: { matched: 4 } });
    for (const target of own) expect((await mission.get(target)).cacheStatus).toBe('forecache; fwd=uri-miss; stored');
    expect((await mission.get('/weather/forecast?location=paris')).cacheStatus).toContain('; hit;');
  });

  it('is refused with 400 and does nothing unless it has exactly one valid selector', async () => {
    const mission = await filledMission();
    const bodies = [{}, { all: false }, { tag: 'a', all: true }, { tag: '' }, { tags: [] }, { route: 'event-serch' }];
    for (const body of [...bodies, { url: '/nowhere' }, { prefix: 'weather' }, { tag: 'a', sotf: true }]) {
      const { status, body: problem } = await mission.call('/api/purge', body);
      expect([status, problem['status']]).toEqual([400, 400]);
    }
    expect(await stateOf(mission)).toEqual(Object.fromEntries(questions.map((name) => [name, 'hit'])));
  });

  it('that is soft leaves stale answers: refreshed behind where the route allows that, kept for when upstream fails', async () => {
    const mission = await filledMission();
    const { weather, events, get } = mission;
    expect(await mission.call('/api/purge', { tag: 'location:lima', soft: true })).toMatchObject({
      body: { ...receipt, matched: 4 },
    });
    const calls = callsWith(weather, 'location=lima&');
    const stale = await get(asked['forecast lima']);
    expect(stale.cacheStatus).toMatch(/^forecache; hit; ttl=(?:0|-\d+); detail=memory$/);
    await expect.poll(async () => (await get(asked['forecast lima'])).cacheStatus).toMatch(/; hit; ttl=[1-9]/);
    expect(callsWith(weather, 'location=lima&')).toBe(calls + 1);

    events.setFault({ status: 503 });
    const kept = await get(asked['events lima']);
    expect(kept.status).toBe(200);
    expect(kept.cacheStatus).toMatch(/^forecache; fwd=stale; fwd-status=503; ttl=(?:0|-\d+); detail=stale-error$/);
    events.setFault({});
    expect((await get(asked['events lima'])).cacheStatus).toBe('forecache; fwd=stale; stored');
    expect((await get(asked['events lima sur'])).cacheStatus).toContain('; hit;');
  });
});

describe('the scheduled purge of the contract (0 6 * * *, soft, event-search)', () => {
  it('comes at six each morning, to the events alone, and not before', async () => {
    const mission = await startStillMission();
    const { clock, get } = mission;
    const events = async (): Promise<string> => (await get('/events/search?location=lima')).cacheStatus;
    const purges = async (): Promise<unknown> => (await mission.report())['purges'];
    const hit = expect.stringMatching(/^forecache; hit; ttl=\d+; detail=memory$/);

    // It starts at noon. One minute before the purge of the next morning everything is fetched anew.
    clock.advance(18 * 3_600_000 - 60_000);
    await get('/weather/historical?location=lima&date=2026-11-01');
    await events();
    expect([await events(), await purges()]).toEqual([hit, 0]);
    clock.advance(60_000);
    await expect.poll(purges).toBe(1);
    expect(await events()).toBe('forecache; fwd=stale; stored');
    expect(await events()).toEqual(hit);
    expect((await get('/weather/historical?location=lima&date=2026-11-01')).cacheStatus).toEqual(hit);

    clock.advance(24 * 3_600_000 - 1000);
    await events();
    expect([await events(), await purges()]).toEqual([hit, 1]);
    clock.advance(1000);
    await expect.poll(purges).toBe(2);
    expect(await events()).toBe('forecache; fwd=stale; stored');
  });
});
