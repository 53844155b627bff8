import type { SeededRandom } from './seeded.ts';

/** What an agent wants to know, before it is spelt as a request. Equal questions have equal {@link identityOf}. */
export type Question =
  | {
      readonly kind: 'forecast';
      readonly location: string;
      readonly days: number;
      readonly units: 'metric' | 'imperial';
    }
  | { readonly kind: 'historical'; readonly location: string; readonly date: string }
  | { readonly kind: 'point'; readonly lat: string; readonly lon: string; readonly fields: readonly string[] }
  | {
      readonly kind: 'events';
      readonly location: string;
      readonly dates: { readonly start: string; readonly end: string } | undefined;
      readonly categories: readonly string[];
    };

/** One text for all spellings of a question; the cache must find out by itself that they are one. */
export function identityOf(question: Question): string {
  switch (question.kind) {
    case 'forecast':
      return `forecast ${question.location} ${question.days} ${question.units}`;
    case 'historical':
      return `historical ${question.location} ${question.date}`;
    case 'point':
      return `point ${question.lat} ${question.lon} ${question.fields.toSorted().join()}`;
    case 'events': {
      const { start, end } = question.dates ?? { start: '', end: '' };
      return `events ${question.location} ${start} ${end} ${question.categories.toSorted().join()}`;
    }
  }
}

/** True where the answer carries the tag `location:NAME`. */
export function isAbout(question: Question, location: string): boolean {
  return question.kind !== 'point' && question.location === location;
}

/** The first is asked about most, the last least. */
const locations = [
  'berlin',
  'paris',
  'new york',
  'lima',
  'são paulo',
  'tokyo',
  'london',
  'lima sur',
  'cape town',
  'san francisco',
] as const;

const points: readonly (readonly [lat: string, lon: string])[] = [
  ['52.52', '13.41'],
  ['48.85', '2.35'],
  ['-12.04', '-77.03'],
  ['35.69', '139.69'],
];

/** Draws the next question: few places and plain forecasts most of the time, as agents do. */
export function drawQuestion(random: SeededRandom): Question {
  const location = locations[Math.floor(random.next() ** 2 * locations.length)] ?? locations[0];
  const share = random.next();
  if (share < 0.3) return { kind: 'forecast', location, days: 7, units: 'metric' };
  if (share < 0.4) {
    return { kind: 'forecast', location, days: random.pick([3, 14]), units: random.pick(['metric', 'imperial']) };
  }
  if (share < 0.5) return { kind: 'historical', location, date: random.pick(['2026-07-14', '2026-02-28']) };
  if (share < 0.65) {
    const [lat, lon] = random.pick(points);
    return { kind: 'point', lat, lon, fields: random.pick(pointFields) };
  }
  const dates = random.oneIn(3) ? { start: '2026-12-01', end: '2026-12-07' } : undefined;
  return { kind: 'events', location, dates, categories: random.oneIn(2) ? ['music', 'arts', 'family'] : [] };
}

const pointFields: readonly (readonly string[])[] = [
  ['temperature_2m', 'wind_speed_10m', 'precipitation'],
  ['uv_index', 'visibility'],
];

/** The questions that every agent begins with, so that many want the same thing at once. */
export const openingQuestion: Question = { kind: 'forecast', location: 'berlin', days: 7, units: 'metric' };
