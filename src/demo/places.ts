import { hashOf } from './seeded.ts';

/** A city as both simulators know it. */
export interface Place {
  /** As it is written in answers. */
  readonly name: string;
  readonly country: string;
  readonly countryCode: string;
  readonly latitude: number;
  readonly longitude: number;
  readonly timezone: string;
  readonly utcOffsetSeconds: number;
  readonly elevation: number;
}

type Row = readonly [string, string, string, number, number, number, string, number];

const rows: readonly Row[] = [
  ['Berlin', 'Germany', 'DE', 52.52, 13.41, 38, 'Europe/Berlin', 1],
  ['Paris', 'France', 'FR', 48.85, 2.35, 42, 'Europe/Paris', 1],
  ['London', 'Great Britain', 'GB', 51.51, -0.13, 25, 'Europe/London', 0],
  ['New York', 'United States Of America', 'US', 40.71, -74.01, 10, 'America/New_York', -5],
  ['San Francisco', 'United States Of America', 'US', 37.77, -122.42, 16, 'America/Los_Angeles', -8],
  ['Lima', 'Peru', 'PE', -12.04, -77.03, 154, 'America/Lima', -5],
  ['Lima Sur', 'Peru', 'PE', -12.18, -76.95, 88, 'America/Lima', -5],
  ['São Paulo', 'Brazil', 'BR', -23.55, -46.64, 769, 'America/Sao_Paulo', -3],
  ['Tokyo', 'Japan', 'JP', 35.69, 139.69, 40, 'Asia/Tokyo', 9],
  ['Cape Town', 'South Africa', 'ZA', -33.93, 18.42, 25, 'Africa/Johannesburg', 2],
];

const byName = new Map(rows.map((row) => [nameKey(row[0]), fromRow(row)]));

/** The city of that name, or one made up from the name; `undefined` where the text has no letter. */
export function findPlace(text: string): Place | undefined {
  const name = text.normalize('NFC').trim().replace(/\s+/gu, ' ');
  if (!/\p{L}/u.test(name)) return undefined;
  const city = byName.get(nameKey(name));
  if (city !== undefined) return city;
  const hash = hashOf(nameKey(name));
  return {
    name,
    country: 'Nowhere',
    countryCode: 'XX',
    latitude: Math.round(((hash % 14_000) / 100 - 70) * 100) / 100,
    longitude: Math.round((((hash >>> 8) % 36_000) / 100 - 180) * 100) / 100,
    timezone: 'GMT',
    utcOffsetSeconds: 0,
    elevation: hash % 900,
  };
}

function nameKey(name: string): string {
  return name.normalize('NFC').toLowerCase();
}

function fromRow([name, country, countryCode, latitude, longitude, elevation, timezone, offsetHours]: Row): Place {
  return {
    name,
    country,
    countryCode,
    latitude,
    longitude,
    timezone,
    utcOffsetSeconds: offsetHours * 3600,
    elevation,
  };
}
