import { setTimeout as delay } from 'node:timers/promises';
import { findPlace, type Place } from './places.ts';
import { createRandom, hashOf, type SeededRandom } from './seeded.ts';
import { jsonAnswer, type SimulatedAnswer, type SimulatedApi, type SimulatedRequest } from './simulator-server.ts';

/** Searches without a start begin on this day, so that two runs give the same bytes. */
const firstDay = '2026-11-23';
const dayMs = 86_400_000;
const quota = 5000;
/** Some 2 KB an event: a full answer stays below 60 KB. */
const maxEvents = 25;
const tickerPauseMs = 100;

const genres: ReadonlyMap<string, readonly string[]> = new Map([
  ['music', ['Rock', 'Jazz', 'Classical', 'Electronic', 'Folk']],
  ['sports', ['Football', 'Basketball', 'Tennis', 'Ice Hockey']],
  ['arts', ['Theatre', 'Dance', 'Opera', 'Comedy']],
  ['family', ['Circus', 'Puppetry', 'Magic']],
]);

/**
 * An API in the manner of Ticketmaster's Discovery: every call needs the key, answers set a cookie and tell the quota
 * that is left, and the body of a 429 repeats the key.
 */
export function eventApi(seed: number, apiKey: string): SimulatedApi {
  let left = quota;
  const answer = (request: SimulatedRequest): SimulatedAnswer => {
    if (request.params.get('apikey') !== apiKey) return fault(401, 'Invalid ApiKey', 'oauth.v2.InvalidApiKey');
    left = left > 0 ? left - 1 : quota;
    const fields = {
      'rate-limit': String(quota),
      'rate-limit-available': String(left),
      'set-cookie': `CMPS=${hashOf(String(left), seed).toString(36)}; path=/; HttpOnly`,
    };
    if (request.path === '/v2/search') return search(request, seed, fields);
    if (request.path.startsWith('/live/')) return live(request);
    return jsonAnswer(404, { errors: [{ code: 'DIS1004', detail: 'Resource not found', status: '404' }] }, fields);
  };
  return {
    apiKey,
    answer,
    failure: (status, request) =>
      status === 429
        ? fault(
            429,
            `Rate limit quota violation. Quota limit  exceeded. Identifier : ${request.params.get('apikey') ?? ''}`,
            'policies.ratelimit.QuotaViolation',
          )
        : fault(status, 'The Service is temporarily unavailable', 'messaging.adaptors.http.flow.ServiceUnavailable'),
  };
}

function fault(status: number, faultstring: string, errorcode: string): SimulatedAnswer {
  return jsonAnswer(status, { fault: { faultstring, detail: { errorcode } } });
}

function search({ params }: SimulatedRequest, seed: number, fields: Record<string, string>): SimulatedAnswer {
  const place = findPlace(params.get('location') ?? '');
  if (place === undefined) return invalid('Query param with value location must name a place', fields);
  const start = params.get('start') ?? firstDay;
  const startMs = Date.parse(`${start}T00:00:00Z`);
  const endMs = Date.parse(`${params.get('end') ?? isoDay(startMs + 30 * dayMs)}T00:00:00Z`);
  if (!(endMs >= startMs)) return invalid('Query params start and end must be dates, start first', fields);
  const wanted = params.get('categories')?.split(',') ?? [...genres.keys()];
  const segments = [...genres.keys()].filter((name) => wanted.includes(name));
  const question = `${place.name} ${isoDay(startMs)} ${isoDay(endMs)} ${segments.join()}`;
  const random = createRandom(hashOf(question, seed));
  const days = Math.round((endMs - startMs) / dayMs) + 1;
  const count = segments.length === 0 ? 0 : Math.min(maxEvents, 3 + random.below(3 + days));
  const events = Array.from({ length: count }, () =>
    eventOf({ place, segments, random, dayMs: startMs + random.below(days) * dayMs }),
  ).toSorted((a, b) => (a.dates.start.dateTime < b.dates.start.dateTime ? -1 : 1));
  const self = `/v2/search?${new URLSearchParams({ location: place.name, start, end: isoDay(endMs) }).toString()}`;
  return jsonAnswer(
    200,
    {
      // Upstream leaves the member out where nothing was found.
      ...(count === 0 ? {} : { _embedded: { events } }),
      _links: { self: { href: self } },
      page: { size: maxEvents, totalElements: count, totalPages: count === 0 ? 0 : 1, number: 0 },
    },
    fields,
  );
}

function invalid(detail: string, fields: Record<string, string>): SimulatedAnswer {
  return jsonAnswer(400, { errors: [{ code: 'DIS1015', detail, status: '400' }] }, fields);
}

interface EventInput {
  readonly place: Place;
  readonly segments: readonly string[];
  readonly random: SeededRandom;
  /** Midnight of the event's day, UTC. */
  readonly dayMs: number;
}

interface SimulatedEvent {
  readonly id: string;
  readonly dates: { readonly start: { readonly dateTime: string } };
}

function eventOf({ place, segments, random, dayMs: midnightMs }: EventInput): SimulatedEvent {
  const segment = random.pick(segments);
  const genre = random.pick(genres.get(segment) ?? [segment]);
  const id = `vv${random.below(2 ** 31).toString(36)}${random.below(2 ** 31).toString(36)}`;
  const startMs = midnightMs + (17 + random.below(5)) * 3_600_000 + random.pick([0, 30]) * 60_000;
  const local = new Date(startMs).toISOString();
  const price = 15 + random.below(120);
  const event = {
    name: `${random.pick(['Grand', 'Late', 'Winter', 'Open', 'Royal', 'Northern'])} ${genre} ${random.pick(['Night', 'Session', 'Gala', 'Festival', 'Final'])}`,
    type: 'event',
    id,
    test: false,
    url: `https://tickets.example/event/${id}`,
    locale: 'en-us',
    images: Array.from({ length: 6 }, (_, i) => ({
      ratio: i % 2 === 0 ? '16_9' : '3_2',
      url: `https://images.example/dam/a/${id.slice(2, 5)}/${id}_${i}_TABLET_LANDSCAPE.jpg`,
      width: 320 * (i + 1),
      height: 180 * (i + 1),
      fallback: false,
    })),
    sales: {
      public: {
        startDateTime: new Date(startMs - 90 * dayMs).toISOString(),
        startTBD: false,
        endDateTime: new Date(startMs - 3_600_000).toISOString(),
      },
    },
    dates: {
      start: { localDate: local.slice(0, 10), localTime: local.slice(11, 19), dateTime: utcOf(startMs, place) },
      timezone: place.timezone,
      status: { code: random.oneIn(12) ? 'rescheduled' : 'onsale' },
    },
    classifications: [
      { primary: true, segment: { name: segment }, genre: { name: genre }, family: segment === 'family' },
    ],
    priceRanges: [{ type: 'standard', currency: 'EUR', min: price, max: price * 3 }],
    _embedded: { venues: [venueOf(place, random)] },
  };
  return event;
}

function utcOf(localMs: number, place: Place): string {
  return new Date(localMs - place.utcOffsetSeconds * 1000).toISOString();
}

function venueOf(place: Place, random: SeededRandom): Record<string, unknown> {
  const id = `K${random.below(2 ** 31).toString(36)}`;
  return {
    name: `${place.name} ${random.pick(['Arena', 'Hall', 'Opera House', 'Stadium', 'Club'])}`,
    type: 'venue',
    id,
    postalCode: String(10_000 + random.below(80_000)),
    timezone: place.timezone,
    city: { name: place.name },
    country: { name: place.country, countryCode: place.countryCode },
    location: { longitude: String(place.longitude), latitude: String(place.latitude) },
    _links: { self: { href: `/v2/venues/${id}?locale=en-us` } },
  };
}

/** A stream of a few events, for the relayed route: `/live/ticker?count=5`. */
function live(request: SimulatedRequest): SimulatedAnswer {
  const count = Math.min(100, Math.max(1, Number(request.params.get('count') ?? '5') || 1));
  return {
    status: 200,
    fields: { 'content-type': 'text/event-stream', 'cache-control': 'no-store' },
    body: ticker(count),
  };
}

async function* ticker(count: number): AsyncGenerator<string> {
  for (let id = 1; id <= count; id++) {
    if (id > 1) await delay(tickerPauseMs);
    yield `id: ${id}\ndata: {"seatsLeft":${200 - id}}\n\n`;
  }
}

function isoDay(ms: number): string {
  return Number.isNaN(ms) ? '' : new Date(ms).toISOString().slice(0, 10);
}
