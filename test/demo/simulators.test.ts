import { request, type IncomingHttpHeaders } from 'node:http';
import { gunzipSync } from 'node:zlib';
import { afterEach, describe, expect, it } from 'vitest';
import { latencyMsOf, type Simulator } from '../../src/demo/simulator-server.ts';
import { defaultEventsApiKey, startEventSimulator, startWeatherSimulator } from '../../src/demo/start-simulators.ts';

interface Answer {
  readonly status: number;
  readonly fields: IncomingHttpHeaders;
  readonly body: Buffer;
}

interface Asked {
  readonly method?: string;
  readonly fields?: Record<string, string>;
  readonly body?: string;
}

const atOnce = { minMs: 0, maxMs: 0 };
const open: Simulator[] = [];

async function started(simulator: Promise<Simulator>): Promise<Simulator> {
  const running = await simulator;
  open.push(running);
  return running;
}

function ask(simulator: Simulator, target: string, asked: Asked = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const options = { method: asked.method ?? 'GET', headers: asked.fields ?? {} };
    const call = request(`${simulator.origin}${target}`, options, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, fields: response.headers, body: Buffer.concat(chunks) }),
      );
    });
    call.on('error', reject);
    call.end(asked.body);
  });
}

function control(simulator: Simulator, body: string): Promise<Answer> {
  return ask(simulator, '/_control', { method: 'POST', body });
}

afterEach(async () => {
  await Promise.all(open.splice(0).map((simulator) => simulator.close()));
});

const eventsKey = `apikey=${defaultEventsApiKey}`;

describe('the weather simulator', () => {
  it('gives the same bytes for the same question, in two processes as in one', async () => {
    const first = await started(startWeatherSimulator({ latency: atOnce }));
    const second = await started(startWeatherSimulator({ latency: atOnce }));
    const target = '/v1/forecast?location=berlin&days=7&units=metric';
    const answers = [await ask(first, target), await ask(first, target), await ask(second, target)];
    expect(answers[0]?.status).toBe(200);
    expect(answers[1]?.body).toEqual(answers[0]?.body);
    expect(answers[2]?.body).toEqual(answers[0]?.body);
  });

  it('gives other bytes for another seed, place, length or unit', async () => {
    const simulator = await started(startWeatherSimulator({ latency: atOnce }));
    const other = await started(startWeatherSimulator({ latency: atOnce, seed: 7 }));
    const bodies = await Promise.all([
      ask(simulator, '/v1/forecast?location=berlin&days=7&units=metric'),
      ask(other, '/v1/forecast?location=berlin&days=7&units=metric'),
      ask(simulator, '/v1/forecast?location=paris&days=7&units=metric'),
      ask(simulator, '/v1/forecast?location=berlin&days=3&units=metric'),
      ask(simulator, '/v1/forecast?location=berlin&days=7&units=imperial'),
    ]);
    expect(new Set(bodies.map(({ body }) => body.toString())).size).toBe(5);
  });

  it('answers in the shape of Open-Meteo, one value an hour for each variable', async () => {
    const simulator = await started(startWeatherSimulator({ latency: atOnce }));
    const { body } = await ask(simulator, '/v1/forecast?location=Berlin&days=2&units=metric');
    const answer: unknown = JSON.parse(body.toString());
    expect(answer).toMatchObject({ latitude: 52.52, longitude: 13.41, timezone: 'Europe/Berlin', location: 'Berlin' });
    expect(answer).toHaveProperty('hourly.time.length', 48);
    expect(answer).toHaveProperty('hourly.temperature_2m.length', 48);
    expect(answer).toHaveProperty('daily.temperature_2m_max.length', 2);
    expect(answer).toHaveProperty('hourly_units.temperature_2m', '°C');
  });

  it('keeps every answer between 1 and 60 KB', async () => {
    const weather = await started(startWeatherSimulator({ latency: atOnce }));
    const events = await started(startEventSimulator({ latency: atOnce }));
    const answers = await Promise.all([
      ask(weather, '/v1/forecast?location=berlin&days=1&units=metric'),
      ask(weather, '/v1/forecast?location=berlin&days=16&units=imperial'),
      ask(weather, '/v1/historical?location=tokyo&date=2024-02-29'),
      ask(weather, '/v1/point?lat=52.52&lon=13.41&fields=uv_index'),
      ask(events, `/v2/search?location=berlin&${eventsKey}`),
      ask(events, `/v2/search?location=new+york&start=2026-12-01&end=2027-06-01&${eventsKey}`),
    ]);
    for (const { status, body } of answers) {
      expect(status).toBe(200);
      expect(body.length).toBeGreaterThan(1000);
      expect(body.length).toBeLessThan(60_000);
    }
  });

  it.each([
    ['/v1/forecast?days=7'],
    ['/v1/forecast?location=berlin&days=17'],
    ['/v1/forecast?location=berlin&units=kelvin'],
    ['/v1/historical?location=berlin&date=yesterday'],
    ['/v1/historical?location=berlin&date=2026-02-31x'],
    ['/v1/point?lat=91&lon=0'],
    ['/v1/point?lat=1&lon=2&fields=mood'],
  ])('refuses %s with 400 and a reason', async (target) => {
    const simulator = await started(startWeatherSimulator({ latency: atOnce }));
    const { status, body } = await ask(simulator, target);
    expect(status).toBe(400);
    expect(JSON.parse(body.toString())).toMatchObject({ error: true, reason: expect.any(String) });
  });

  it('gives point variables in its own order whatever the order asked for', async () => {
    const simulator = await started(startWeatherSimulator({ latency: atOnce }));
    const one = await ask(simulator, '/v1/point?lat=1&lon=2&fields=uv_index,cloud_cover');
    const two = await ask(simulator, '/v1/point?lat=1&lon=2&fields=cloud_cover,uv_index');
    expect(two.body).toEqual(one.body);
  });

  it('codes with gzip only for clients that ask for it', async () => {
    const simulator = await started(startWeatherSimulator({ latency: atOnce }));
    const target = '/v1/forecast?location=berlin&days=7&units=metric';
    const plain = await ask(simulator, target);
    const coded = await ask(simulator, target, { fields: { 'accept-encoding': 'gzip' } });
    expect(plain.fields['content-encoding']).toBeUndefined();
    expect(coded.fields['content-encoding']).toBe('gzip');
    expect(gunzipSync(coded.body)).toEqual(plain.body);
  });

  it('lets alerts be validated with their entity tag', async () => {
    const simulator = await started(startWeatherSimulator({ latency: atOnce }));
    const whole = await ask(simulator, '/honour/alerts?area=KS');
    expect(whole.fields['cache-control']).toBe('public, max-age=60');
    const validated = await ask(simulator, '/honour/alerts?area=KS', {
      fields: { 'if-none-match': whole.fields.etag ?? '' },
    });
    expect(validated.status).toBe(304);
    expect(validated.body.length).toBe(0);
  });
});

describe('the event simulator', () => {
  it('answers only calls that carry its key, and counts them', async () => {
    const simulator = await started(startEventSimulator({ latency: atOnce, apiKey: 'right' }));
    expect((await ask(simulator, '/v2/search?location=berlin')).status).toBe(401);
    expect((await ask(simulator, '/v2/search?location=berlin&apikey=wrong')).status).toBe(401);
    expect((await ask(simulator, '/v2/search?location=berlin&apikey=right')).status).toBe(200);
    expect([simulator.calls(), simulator.authorised()]).toEqual([3, 1]);
    expect([...simulator.targets()]).toEqual([['/v2/search?location=berlin', 3]]);
  });

  it('sends what such APIs send beside the answer: a cookie and the quota that is left', async () => {
    const simulator = await started(startEventSimulator({ latency: atOnce }));
    const { fields } = await ask(simulator, `/v2/search?location=berlin&${eventsKey}`);
    expect(fields['set-cookie']?.[0]).toMatch(/^CMPS=/);
    expect(fields['rate-limit-available']).toBe('4999');
  });

  it('holds every event within the days that were asked for, in the categories asked for', async () => {
    const simulator = await started(startEventSimulator({ latency: atOnce }));
    const target = `/v2/search?location=berlin&start=2026-12-01&end=2026-12-03&categories=music,sports&${eventsKey}`;
    const text = (await ask(simulator, target)).body.toString();
    const days = [...text.matchAll(/"localDate":"([^"]+)"/g)].map((match) => match[1] ?? '');
    const segments = [...text.matchAll(/"segment":\{"name":"([^"]+)"/g)].map((match) => match[1]);
    expect(JSON.parse(text)).toHaveProperty('page.totalElements', days.length);
    expect(days.length).toBeGreaterThan(2);
    expect(days.filter((day) => day < '2026-12-01' || day > '2026-12-03')).toEqual([]);
    expect(new Set(segments)).toEqual(new Set(['music', 'sports']));
  });

  it('leaves `_embedded` out where nothing was found', async () => {
    const simulator = await started(startEventSimulator({ latency: atOnce }));
    const { status, body } = await ask(simulator, `/v2/search?location=berlin&categories=chess&${eventsKey}`);
    expect(status).toBe(200);
    expect(JSON.parse(body.toString())).not.toHaveProperty('_embedded');
  });

  it('streams a ticker event by event', async () => {
    const simulator = await started(startEventSimulator({ latency: atOnce }));
    const { fields, body } = await ask(simulator, `/live/ticker?count=2&${eventsKey}`);
    expect(fields['content-type']).toBe('text/event-stream');
    expect(body.toString().match(/^id: /gm)).toHaveLength(2);
  });
});

describe('faults', () => {
  it('waits 80 to 400 ms, always as long for the same question', async () => {
    const range = { minMs: 80, maxMs: 400 };
    const waits = Array.from({ length: 500 }, (_, i) => latencyMsOf(`/v1/forecast?location=${i}`, range, 0));
    expect(Math.min(...waits)).toBeGreaterThanOrEqual(80);
    expect(Math.max(...waits)).toBeLessThanOrEqual(400);
    expect(new Set(waits).size).toBeGreaterThan(200);
    const simulator = await started(startWeatherSimulator());
    const beganMs = performance.now();
    await ask(simulator, '/v1/forecast?location=berlin');
    // A timer may fire up to a millisecond early.
    const dueMs = latencyMsOf('/v1/forecast?location=berlin', range, 0) - 1;
    expect(performance.now() - beganMs).toBeGreaterThanOrEqual(dueMs);
  });

  it('answers with the status it is told, in the words of the API, the key leaked in a 429 as the real one does', async () => {
    const simulator = await started(startEventSimulator({ latency: atOnce }));
    await control(simulator, '{"status":429}');
    const { status, body } = await ask(simulator, `/v2/search?location=berlin&${eventsKey}`);
    expect(status).toBe(429);
    expect(body.toString()).toContain(`Identifier : ${defaultEventsApiKey}`);
    await control(simulator, '{}');
    expect((await ask(simulator, `/v2/search?location=berlin&${eventsKey}`)).status).toBe(200);
  });

  it('resets connections while it is down, but stays within reach of the control', async () => {
    const simulator = await started(startWeatherSimulator({ latency: atOnce }));
    await control(simulator, '{"down":true}');
    await expect(ask(simulator, '/v1/forecast?location=berlin')).rejects.toThrow(/ECONNRESET|hang up/);
    const told = await ask(simulator, '/_control');
    expect(JSON.parse(told.body.toString())).toMatchObject({ calls: 1, fault: { down: true } });
    await control(simulator, '{"reset":true}');
    expect((await ask(simulator, '/v1/forecast?location=berlin')).status).toBe(200);
    expect(simulator.calls()).toBe(1);
  });

  it.each(['', '[]', '{"status":200}', '{"latencyMs":-1}', '{"down":"yes"}', '{"typo":1}'])(
    'refuses %j as a fault',
    async (text) => {
      const simulator = await started(startWeatherSimulator({ latency: atOnce }));
      expect((await control(simulator, text)).status).toBe(400);
    },
  );
});
