import { findPlace, type Place } from './places.ts';
import { createRandom, hashOf } from './seeded.ts';
import { jsonAnswer, type SimulatedAnswer, type SimulatedApi, type SimulatedRequest } from './simulator-server.ts';

type Units = 'metric' | 'imperial';

/** Forecasts begin on this day, so that two runs give the same bytes. */
const firstDay = Date.UTC(2026, 10, 23);
const dayMs = 86_400_000;
const hourMs = 3_600_000;
/** Sent with what may be validated. */
const lastModified = 'Mon, 23 Nov 2026 00:00:00 GMT';

/** What each variable is measured in, where its daily course lies, and how far it strays. */
interface Variable {
  readonly metric: string;
  readonly imperial: string;
  readonly base: number;
  readonly spread: number;
  readonly min: number;
  toImperial(value: number): number;
}

const same = (value: number): number => value;
const variables: ReadonlyMap<string, Variable> = new Map([
  ['temperature_2m', { metric: '°C', imperial: '°F', base: 11, spread: 14, min: -60, toImperial: (c) => c * 1.8 + 32 }],
  ['relative_humidity_2m', { metric: '%', imperial: '%', base: 55, spread: 40, min: 0, toImperial: same }],
  ['precipitation', { metric: 'mm', imperial: 'inch', base: -2, spread: 5, min: 0, toImperial: (mm) => mm / 25.4 }],
  ['wind_speed_10m', { metric: 'km/h', imperial: 'mp/h', base: 6, spread: 30, min: 0, toImperial: (km) => km / 1.609 }],
  ['surface_pressure', { metric: 'hPa', imperial: 'hPa', base: 990, spread: 40, min: 800, toImperial: same }],
  ['cloud_cover', { metric: '%', imperial: '%', base: 10, spread: 85, min: 0, toImperial: same }],
  ['visibility', { metric: 'm', imperial: 'ft', base: 4000, spread: 20_000, min: 0, toImperial: (m) => m * 3.281 }],
  ['uv_index', { metric: '', imperial: '', base: 0, spread: 8, min: 0, toImperial: same }],
]);
const hourlyNames = [...variables.keys()].slice(0, 6);

/** An API in the manner of Open-Meteo: no key, no caching fields, errors as `{"error":true,"reason":…}`. */
export function weatherApi(seed: number): SimulatedApi {
  const answers: ReadonlyMap<string, (request: SimulatedRequest, seed: number) => SimulatedAnswer> = new Map([
    ['/v1/forecast', forecast],
    ['/v1/historical', historical],
    ['/v1/point', point],
    ['/honour/alerts', alerts],
  ]);
  return {
    apiKey: undefined,
    answer: (request) => answers.get(request.path)?.(request, seed) ?? refuse(404, 'Not Found'),
    failure: (status) =>
      status === 429
        ? refuse(429, 'Minutely API request limit exceeded. Please try again in one minute.')
        : refuse(status, 'The service is overloaded'),
  };
}

function refuse(status: number, reason: string): SimulatedAnswer {
  return jsonAnswer(status, { error: true, reason });
}

function forecast({ params }: SimulatedRequest, seed: number): SimulatedAnswer {
  const place = findPlace(params.get('location') ?? '');
  if (place === undefined) return refuse(400, "Parameter 'location' is missing or names no place.");
  const days = Number(params.get('days') ?? '7');
  if (!Number.isInteger(days) || days < 1 || days > 16)
    return refuse(400, "Parameter 'days' must be between 1 and 16.");
  const units = params.get('units') ?? 'metric';
  if (units !== 'metric' && units !== 'imperial') return refuse(400, "Parameter 'units' must be metric or imperial.");
  const series = { place, seed, units, fromMs: firstDay, hours: days * 24 } as const;
  return jsonAnswer(200, {
    ...header(place, `forecast ${place.name} ${days} ${units}`, seed),
    current_units: { time: 'iso8601', interval: 'seconds', ...unitsOf(hourlyNames, units) },
    current: { time: isoMinute(firstDay), interval: 900, ...currentOf(series, hourlyNames) },
    ...hourlyOf(series, hourlyNames),
    ...dailyOf(series),
  });
}

function historical({ params }: SimulatedRequest, seed: number): SimulatedAnswer {
  const place = findPlace(params.get('location') ?? '');
  if (place === undefined) return refuse(400, "Parameter 'location' is missing or names no place.");
  const date = params.get('date') ?? '';
  const fromMs = /^\d{4}-\d{2}-\d{2}$/.test(date) ? Date.parse(`${date}T00:00:00Z`) : Number.NaN;
  if (Number.isNaN(fromMs)) return refuse(400, "Parameter 'date' must be YYYY-MM-DD.");
  const series = { place, seed, units: 'metric', fromMs, hours: 24 } as const;
  return jsonAnswer(200, {
    ...header(place, `historical ${place.name} ${date}`, seed),
    ...hourlyOf(series, hourlyNames),
    ...dailyOf(series),
  });
}

function point({ params }: SimulatedRequest, seed: number): SimulatedAnswer {
  const latitude = Number(params.get('lat') ?? 'missing');
  const longitude = Number(params.get('lon') ?? 'missing');
  if (!(Math.abs(latitude) <= 90 && Math.abs(longitude) <= 180)) {
    return refuse(400, "Parameters 'lat' and 'lon' must be coordinates.");
  }
  const asked = (params.get('fields') ?? hourlyNames.join(',')).split(',');
  const unknown = asked.find((name) => !variables.has(name));
  if (unknown !== undefined) return refuse(400, 'Cannot initialize WeatherVariable from an invalid name.');
  const names = [...variables.keys()].filter((name) => asked.includes(name));
  const name = `${latitude},${longitude}`;
  const place = pointPlace(name, latitude, longitude);
  const series = { place, seed, units: 'metric', fromMs: firstDay, hours: 48 } as const;
  return jsonAnswer(200, {
    ...header(place, `point ${name} ${names.join()}`, seed),
    current_units: { time: 'iso8601', interval: 'seconds', ...unitsOf(names, 'metric') },
    current: { time: isoMinute(firstDay), interval: 900, ...currentOf(series, names) },
    ...hourlyOf(series, names),
  });
}

function pointPlace(name: string, latitude: number, longitude: number): Place {
  return {
    name,
    country: '',
    countryCode: '',
    latitude,
    longitude,
    timezone: 'GMT',
    utcOffsetSeconds: 0,
    elevation: hashOf(name) % 900,
  };
}

/** In the manner of the NWS: it says itself how long it is fresh, and can be validated. */
function alerts({ params, fields }: SimulatedRequest, seed: number): SimulatedAnswer {
  const area = (params.get('area') ?? 'all').toUpperCase();
  const random = createRandom(hashOf(`alerts ${area}`, seed));
  const etag = `"${hashOf(`alerts ${area}`, seed).toString(16)}"`;
  const caching = { 'cache-control': 'public, max-age=60', etag, 'last-modified': lastModified };
  if (fields['if-none-match'] === etag) return { status: 304, fields: caching, body: Buffer.alloc(0) };
  const events = ['Gale Warning', 'Dense Fog Advisory', 'Flood Watch', 'Winter Storm Warning'];
  const features = Array.from({ length: 2 + random.below(4) }, (_, i) => ({
    id: `urn:oid:2.49.0.1.${random.below(1e6)}.${i}`,
    type: 'Feature',
    properties: { areaDesc: area, event: random.pick(events), severity: random.pick(['Minor', 'Moderate', 'Severe']) },
  }));
  return jsonAnswer(200, { type: 'FeatureCollection', features, title: `Current alerts for ${area}` }, caching);
}

interface Series {
  readonly place: Place;
  readonly seed: number;
  readonly units: Units;
  readonly fromMs: number;
  readonly hours: number;
}

function header(place: Place, question: string, seed: number): Record<string, unknown> {
  return {
    latitude: place.latitude,
    longitude: place.longitude,
    generationtime_ms: (hashOf(question, seed) % 900) / 1000,
    utc_offset_seconds: place.utcOffsetSeconds,
    timezone: place.timezone,
    elevation: place.elevation,
    location: place.name,
  };
}

function hourlyOf(series: Series, names: readonly string[]): Record<string, unknown> {
  const hourly: Record<string, unknown> = {
    time: Array.from({ length: series.hours }, (_, hour) => isoMinute(series.fromMs + hour * hourMs)),
  };
  for (const name of names) hourly[name] = valuesOf(series, name);
  return { hourly_units: { time: 'iso8601', ...unitsOf(names, series.units) }, hourly };
}

function dailyOf(series: Series): Record<string, unknown> {
  const temperatures = valuesOf(series, 'temperature_2m');
  const rain = valuesOf(series, 'precipitation');
  const days = Array.from({ length: series.hours / 24 }, (_, day) => day);
  return {
    daily_units: { time: 'iso8601', ...unitsOf(['temperature_2m', 'precipitation'], series.units) },
    daily: {
      time: days.map((day) => isoMinute(series.fromMs + day * dayMs).slice(0, 10)),
      temperature_2m_max: days.map((day) => Math.max(...dayOf(temperatures, day))),
      temperature_2m_min: days.map((day) => Math.min(...dayOf(temperatures, day))),
      precipitation_sum: days.map((day) => round(dayOf(rain, day).reduce((sum, value) => sum + value, 0))),
    },
  };
}

function dayOf(values: readonly number[], day: number): readonly number[] {
  return values.slice(day * 24, day * 24 + 24);
}

function currentOf(series: Series, names: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(names.map((name) => [name, valuesOf({ ...series, hours: 1 }, name)[0]]));
}

function unitsOf(names: readonly string[], units: Units): Record<string, string> {
  return Object.fromEntries(names.map((name) => [name, variables.get(name)?.[units] ?? '']));
}

function valuesOf(series: Series, name: string): readonly number[] {
  const variable = variables.get(name);
  if (variable === undefined) return [];
  const random = createRandom(hashOf(`${series.place.name} ${series.fromMs} ${name}`, series.seed));
  const phase = random.next();
  return Array.from({ length: series.hours }, (_, hour) => {
    const course = (1 - Math.cos(((hour % 24) / 24 + phase / 8) * 2 * Math.PI)) / 2;
    const value = Math.max(variable.min, variable.base + variable.spread * (0.7 * course + 0.3 * random.next()));
    return round(series.units === 'metric' ? value : variable.toImperial(value));
  });
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function isoMinute(ms: number): string {
  return new Date(ms).toISOString().slice(0, 16);
}
