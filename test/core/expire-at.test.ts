import { assert as assertProperty, constantFrom, integer, property, record } from 'fast-check';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { expiryOf, nextInstant, zoneUsed } from '../../src/core/expire-at.ts';
import type { ExpireAt } from '../../src/core/route.ts';
import { HOUR, MINUTE, SECOND } from '../support/policy.ts';

const DAY = 24 * HOUR;

function every(everyMs: number, offsetMs = 0, jitterMs = 0): ExpireAt {
  return { kind: 'every', everyMs, offsetMs, jitterMs };
}

function daily(zone: string, atMinutes = 0, fallbackZone?: string): ExpireAt & { readonly kind: 'daily' } {
  return { kind: 'daily', zone, atMinutes, fallbackZone, jitterMs: 0 };
}

function after(rule: ExpireAt, time: string, zone?: string): string {
  return new Date(nextInstant(rule, zone, Date.parse(time))).toISOString().replace('.000Z', 'Z');
}

describe('the instants of every', () => {
  it.each<[string, ExpireAt, string, string]>([
    ['the next full hour', every(HOUR), '2026-11-23T12:00:00.001Z', '2026-11-23T13:00:00Z'],
    ['the one after it where it is full', every(HOUR), '2026-11-23T12:00:00Z', '2026-11-23T13:00:00Z'],
    ['a model run of six hours', every(6 * HOUR), '2026-11-23T17:59:59Z', '2026-11-23T18:00:00Z'],
    ['a model run, four hours late', every(6 * HOUR, 4 * HOUR), '2026-11-23T12:00:00Z', '2026-11-23T16:00:00Z'],
    ['an offset past the step', every(HOUR, 90 * MINUTE), '2026-11-23T12:00:00Z', '2026-11-23T12:30:00Z'],
    ['a day before the epoch', every(DAY), '1969-12-31T12:00:00Z', '1970-01-01T00:00:00Z'],
  ])('are %s', (_case, rule, time, expected) => {
    expect(after(rule, time)).toBe(expected);
  });
});

describe('the instants of daily', () => {
  it.each<[string, string, number, string, string]>([
    ['UTC', 'UTC', 0, '2026-11-23T12:00:00Z', '2026-11-24T00:00:00Z'],
    ['a time still to come today', 'UTC', 13 * 60 + 30, '2026-11-23T12:00:00Z', '2026-11-23T13:30:00Z'],
    ['tomorrow at the very instant', 'UTC', 12 * 60, '2026-11-23T12:00:00Z', '2026-11-24T12:00:00Z'],
    ['an hour ahead of UTC', 'Europe/Berlin', 0, '2026-11-23T22:59:59Z', '2026-11-23T23:00:00Z'],
    ['the same in summer', 'Europe/Berlin', 0, '2026-07-01T12:00:00Z', '2026-07-01T22:00:00Z'],
    ['half an hour off', 'Asia/Kolkata', 0, '2026-11-23T12:00:00Z', '2026-11-23T18:30:00Z'],
    ['a quarter off', 'Asia/Kathmandu', 0, '2026-11-23T12:00:00Z', '2026-11-23T18:15:00Z'],
    ['far ahead, where today is tomorrow', 'Pacific/Kiritimati', 0, '2026-11-23T12:00:00Z', '2026-11-24T10:00:00Z'],
    ['far behind', 'Pacific/Pago_Pago', 0, '2026-11-23T12:00:00Z', '2026-11-24T11:00:00Z'],
    ['the day that summer time begins', 'Europe/Berlin', 0, '2026-03-28T23:00:00Z', '2026-03-29T22:00:00Z'],
    ['the day that it ends', 'Europe/Berlin', 0, '2026-10-24T22:00:00Z', '2026-10-25T23:00:00Z'],
    ['a time that the change leaves out', 'Europe/Berlin', 150, '2026-03-28T12:00:00Z', '2026-03-29T01:00:00Z'],
    ['the first of two equal times', 'Europe/Berlin', 150, '2026-10-24T12:00:00Z', '2026-10-25T00:30:00Z'],
    ['not the second of them', 'Europe/Berlin', 150, '2026-10-25T00:30:00Z', '2026-10-26T01:30:00Z'],
    ['a midnight that does not exist', 'America/Santiago', 0, '2026-09-05T12:00:00Z', '2026-09-06T04:00:00Z'],
    ['the first of two midnights', 'America/Havana', 0, '2026-10-31T12:00:00Z', '2026-11-01T04:00:00Z'],
    ['a change of half an hour', 'Australia/Lord_Howe', 135, '2026-10-03T12:00:00Z', '2026-10-03T15:30:00Z'],
    ['a day that was left out', 'Pacific/Apia', 0, '2011-12-29T12:00:00Z', '2011-12-30T10:00:00Z'],
  ])('are right for %s', (_case, ...[zone, atMinutes, time, expected]) => {
    expect(after(daily(zone, atMinutes), time)).toBe(expected);
  });

  it("are those of the request's zone, and of the fallback where that is none", () => {
    const rule = daily('{timezone}', 0, 'Europe/Berlin');
    expect(after(rule, '2026-11-23T12:00:00Z', 'Asia/Kolkata')).toBe('2026-11-23T18:30:00Z');
    for (const zone of ['auto', 'Europe/Nowhere', '', '+05:30', '../x', 'x'.repeat(1000), undefined]) {
      expect(after(rule, '2026-11-23T12:00:00Z', zone)).toBe('2026-11-23T23:00:00Z');
    }
  });

  it.each([
    ['midnight', 0, '2026-11-23T12:00:00Z', '2026-11-23T12:15:00Z'],
    ['midnight, a moment before', 0, '2026-11-23T12:14:59.999Z', '2026-11-23T12:15:00Z'],
    ['half past six', 390, '2026-11-23T12:20:00Z', '2026-11-23T12:30:00Z'],
    ['seven minutes past', 7, '2026-11-23T12:00:00Z', '2026-11-23T12:07:00Z'],
    ['the last minute of the day', 1439, '2026-11-23T12:00:00Z', '2026-11-23T12:14:00Z'],
  ])('are the next at which it can be %s somewhere, where no zone is known and no fallback', (_case, ...given) => {
    const [atMinutes, time, expected] = given;
    const rule = daily('{timezone}', atMinutes);
    for (const zone of ['auto', 'Europe/Nowhere', '', 'Europe/Berlin,Asia/Tokyo', undefined]) {
      expect(after(rule, time, zone)).toBe(expected);
    }
  });

  it('are never sooner by the clock of any zone than where none is known', () => {
    const rule = daily('{timezone}', 23 * 60 + 52);
    for (const zone of Intl.supportedValuesOf('timeZone')) {
      for (const time of ['2026-11-23T12:00:00Z', '2026-03-28T23:53:00Z', '2026-10-03T15:07:00Z']) {
        const afterMs = Date.parse(time);
        expect(nextInstant(rule, 'auto', afterMs)).toBeLessThanOrEqual(nextInstant(rule, zone, afterMs));
      }
    }
  });

  it.each([
    ['in any case', 'europe/BERLIN'],
    ['with white space round it', ' \tEurope/Berlin\n'],
    ['over and over, as where several places are asked for', 'Europe/Berlin,Europe/Berlin, europe/berlin'],
  ])('are those of a zone that is named %s', (_case, zone) => {
    expect(after(daily('{timezone}'), '2026-11-23T12:00:00Z', zone)).toBe('2026-11-23T23:00:00Z');
  });

  it('are those of a zone although more names that are none come by than are remembered', () => {
    const rule = daily('{timezone}', 0, 'Asia/Kolkata');
    for (let index = 0; index < 1000; index += 1) {
      expect(after(rule, '2026-11-23T12:00:00Z', `Europe/Nowhere_${index}`)).toBe('2026-11-23T18:30:00Z');
      expect(after(rule, '2026-11-23T12:00:00Z', 'Europe/Berlin')).toBe('2026-11-23T23:00:00Z');
    }
  });

  it('make a formatter for a zone once, and try a name that is none once, however they are spelt', () => {
    const made = vi.spyOn(Intl, 'DateTimeFormat');
    onTestFinished(() => made.mockRestore());
    for (const zone of [
      'Antarctica/Troll',
      'antarctica/troll',
      'ANTARCTICA/TROLL',
      'Antarctica/Troll,antarctica/TROLL',
    ]) {
      after(daily('{timezone}'), '2026-11-23T12:00:00Z', zone);
    }
    for (const none of ['Antarctica/Nobody', 'ANTARCTICA/nobody', 'antarctica/nobody', ' Antarctica/Nobody']) {
      after(daily('{timezone}'), '2026-11-23T12:00:00Z', none);
    }
    expect(made).toHaveBeenCalledTimes(2);
  });

  it('come for more zones than are kept, and are the same again for the first', () => {
    const zones = Intl.supportedValuesOf('timeZone');
    expect(zones.length).toBeGreaterThan(300);
    const one = zones.map((zone) => after(daily(zone), '2026-11-23T12:00:00Z'));
    expect(zones.map((zone) => after(daily(zone), '2026-11-23T12:00:00Z'))).toEqual(one);
  });

  it('are the first minutes of each date at which a clock there shows the time or a later one', () => {
    const zone = constantFrom(
      'Europe/Berlin',
      'America/Santiago',
      'America/Havana',
      'Australia/Lord_Howe',
      'Africa/Cairo',
    );
    const changes = [
      '2026-03-08',
      '2026-03-29',
      '2026-04-05',
      '2026-04-24',
      '2026-09-06',
      '2026-10-04',
      '2026-10-25',
      '2026-10-30',
      '2026-11-01',
    ];
    const given = record({
      zone,
      near: constantFrom(...changes),
      minutes: integer({ min: -1440, max: 1440 }),
      atMinutes: integer({ min: 0, max: 1439 }),
    });
    assertProperty(
      property(given, ({ zone: timeZone, near, minutes, atMinutes }) => {
        const afterMs = Date.parse(`${near}T00:00:00Z`) + minutes * MINUTE;
        const found = nextInstant(daily(timeZone, atMinutes), undefined, afterMs);
        expect(found).toBe(nextByMinutes(timeZone, atMinutes, afterMs));
      }),
      { seed: 2026, numRuns: 60 },
    );
  });
});

describe('the zone that counts', () => {
  it.each<[string, ExpireAt & { readonly kind: 'daily' }, string | undefined, string | undefined]>([
    ["the rule's own", daily('Europe/Berlin'), undefined, 'Europe/Berlin'],
    ["the request's", daily('{timezone}', 0, 'UTC'), ' Asia/Tokyo', 'Asia/Tokyo'],
    ['one of a list of the same', daily('{timezone}'), 'Asia/Tokyo,asia/tokyo', 'Asia/Tokyo'],
    ['the fallback for what is none', daily('{timezone}', 0, 'Asia/Tokyo'), 'auto', 'Asia/Tokyo'],
    ['the fallback for a list of several', daily('{timezone}', 0, 'UTC'), 'Asia/Tokyo,Asia/Seoul', 'UTC'],
    ['the fallback for a list with a gap', daily('{timezone}', 0, 'UTC'), 'Asia/Tokyo,', 'UTC'],
    ['the fallback where there is none at all', daily('{timezone}', 0, 'UTC'), undefined, 'UTC'],
    ['nobody knows which', daily('{timezone}'), 'auto', undefined],
    ['nobody knows which of none', daily('{timezone}'), undefined, undefined],
  ])('is %s', (_case, ...[rule, given, used]) => {
    expect(zoneUsed(rule, given)).toBe(used);
  });
});

/** Minute by minute, as someone would who looks at a clock. */
function nextByMinutes(timeZone: string, atMinutes: number, afterMs: number): number {
  const format = new Intl.DateTimeFormat('sv-SE', { timeZone, dateStyle: 'short', timeStyle: 'short' });
  const at = `${String(Math.floor(atMinutes / 60)).padStart(2, '0')}:${String(atMinutes % 60).padStart(2, '0')}`;
  const startMs = afterMs - 26 * HOUR;
  const shown = Array.from({ length: 80 * 60 }, (_, minute) => format.format(startMs + minute * MINUTE));
  const dates = [...new Set(shown.map((text) => text.slice(0, 10)))].slice(1);
  const instants = dates.map((date) => {
    const index = shown.findIndex((text) => text >= `${date} ${at}`);
    return index === -1 ? Infinity : startMs + index * MINUTE;
  });
  return instants.find((instant) => instant > afterMs) ?? Number.NaN;
}

describe('the jitter', () => {
  const atMs = Date.parse('2026-11-23T12:20:00Z');
  const nextMs = Date.parse('2026-11-23T13:00:00Z');
  const keys = Array.from({ length: 2000 }, (_, index) => `forecast|/forecast?lat=52.${index}`);
  const jitters = keys.map((key) => expiryOf(every(HOUR, 0, 30 * SECOND), { key }, atMs) - nextMs);

  it('is told by the key alone', () => {
    const again = keys.map(
      (key) => expiryOf(every(HOUR, 0, 30 * SECOND), { key, zone: 'UTC' }, atMs + MINUTE) - nextMs,
    );
    expect(again).toEqual(jitters);
    expect(expiryOf(every(HOUR), { key: 'a' }, atMs)).toBe(nextMs);
  });

  it('is within its bounds, and spreads keys that are alike evenly over them', () => {
    expect(Math.min(...jitters)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...jitters)).toBeLessThanOrEqual(30 * SECOND);
    const perSecond = Array.from({ length: 30 }, (_, second) =>
      jitters.filter((ms) => Math.floor(ms / SECOND) === second),
    );
    // 67 on average; four standard deviations off is one case in 16,000.
    for (const inSecond of perSecond) expect(Math.abs(inSecond.length - 67)).toBeLessThan(33);
    const all = new Set(keys.map((key) => expiryOf(every(HOUR, 0, 2), { key }, atMs) - nextMs));
    expect(all).toEqual(new Set([0, 1, 2]));
  });
});
