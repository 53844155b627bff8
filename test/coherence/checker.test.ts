import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { breaks, findViolations } from './checker.ts';
import type { History, Purge, Read } from './history.ts';

const keys = ['a', 'b', 'c'];

const purge = (changes: Partial<Purge> = {}): Purge => ({
  startMs: 100,
  endMs: 110,
  sidecar: 's1',
  by: 'url',
  status: 200,
  complete: true,
  missing: [],
  least: new Map([['a', 2]]),
  tags: [],
  leastTagged: new Map(),
  ...changes,
});

const read = (changes: Partial<Read> = {}): Read => ({
  startMs: 120,
  endMs: 125,
  sidecar: 's2',
  key: 'a',
  version: 1,
  fetchedMs: 50,
  source: 'memory',
  tags: [],
  ...changes,
});

describe('the checker', () => {
  it('finds a read that began after a completed purge and got what was fetched before it', () => {
    const history = { reads: [read()], purges: [purge()] };
    expect(findViolations(history)).toEqual([{ read: history.reads[0], purge: history.purges[0] }]);
  });

  it('finds an old fetch even where it saw the new version, since it began before the purge', () => {
    expect(findViolations({ reads: [read({ version: 2, fetchedMs: 99 })], purges: [purge()] })).toHaveLength(1);
    expect(findViolations({ reads: [read({ version: 2, fetchedMs: 100 })], purges: [purge()] })).toEqual([]);
  });

  it('lets a read be that began before the purge had answered', () => {
    expect(findViolations({ reads: [read({ startMs: 110 })], purges: [purge()] })).toEqual([]);
  });

  it('lets a read of another key be', () => {
    expect(findViolations({ reads: [read({ key: 'b' })], purges: [purge()] })).toEqual([]);
  });

  describe('of a purge by a tag that answers have', () => {
    const byTag = purge({ least: new Map(), tags: ['t'], leastTagged: new Map([['a', 2]]) });
    const found = (changes: Partial<Read>) => findViolations({ reads: [read(changes)], purges: [byTag] }).length;

    it('finds a read whose answer has the tag and was fetched before, whatever its key', () => {
      expect([found({ tags: ['s', 't'] }), found({ tags: ['t'], key: 'b' })]).toEqual([1, 1]);
    });

    it('lets a read be whose answer had another tag when it was fetched', () => {
      expect([found({}), found({ tags: ['s'] })]).toEqual([0, 0]);
    });

    it('finds an older version of what had the tag, though it was fetched later', () => {
      expect(found({ tags: ['t'], fetchedMs: 100 })).toBe(1);
      expect([
        found({ tags: ['t'], fetchedMs: 100, version: 2 }),
        found({ tags: ['t'], fetchedMs: 100, key: 'b' }),
      ]).toEqual([0, 0]);
    });
  });

  it('takes promises from all answers that an unsafe request can have', () => {
    const statuses = [200, 201, 204, 303].filter(
      (status) => findViolations({ reads: [read()], purges: [purge({ status })] }).length === 1,
    );
    expect(statuses).toEqual([200, 201, 204, 303]);
  });

  it.each([
    ['202 that is not complete', { status: 202, complete: false }],
    ['202, whatever it says of itself', { status: 202, complete: true }],
    ['200 that is not complete', { complete: false }],
    ['503', { status: 503, complete: false }],
    ['call that broke off', { status: 0, complete: false }],
  ])('takes no promise from a %s', (_, changes) => {
    expect(findViolations({ reads: [read()], purges: [purge(changes)] })).toEqual([]);
  });

  it('names the latest purge that the read breaks, though others ended later', () => {
    const broken = purge({ endMs: 112, least: new Map([['a', 5]]), startMs: 101 });
    const kept = purge({ endMs: 115, least: new Map([['a', 2]]), startMs: 60 });
    const found = findViolations({ reads: [read({ version: 4, fetchedMs: 70 })], purges: [purge(), broken, kept] });
    expect(found.map((violation) => violation.purge)).toEqual([broken]);
  });

  it('agrees with the literal statement of the guarantee on any history', () => {
    fc.assert(
      fc.property(histories, (history) => {
        const literal = history.reads.filter((one) => history.purges.some((other) => breaks(one, other)));
        const found = findViolations(history);
        expect(found.map((violation) => violation.read)).toEqual(literal);
        expect(found.every((violation) => breaks(violation.read, violation.purge))).toBe(true);
      }),
      { numRuns: 2_000, seed: 20_261_125 },
    );
  });

  it('is compared on histories of which many, but not all, break the guarantee', () => {
    const broken = fc.sample(histories, { numRuns: 500, seed: 7 }).filter((one) => findViolations(one).length > 0);
    expect(broken.length).toBeGreaterThan(100);
    expect(broken.length).toBeLessThan(400);
  });
});

/** Small numbers, so that instants and versions coincide often. */
const small = fc.integer({ min: 0, max: 12 });

const someTags = fc.subarray(['s', 't']);

const someReads: fc.Arbitrary<Read> = fc
  .record({ startMs: small, key: fc.constantFrom(...keys), version: small, fetchedMs: small, tags: someTags })
  .map((changes) => read({ ...changes, startMs: changes.startMs + 4, endMs: 30 }));

const someVersions = fc
  .dictionary(fc.constantFrom(...keys), small, { maxKeys: 3 })
  .map((versions) => new Map(Object.entries(versions)));

const somePurges: fc.Arbitrary<Purge> = fc
  .record({
    startMs: small,
    tookMs: small,
    status: fc.constantFrom(200, 200, 200, 202, 503, 0),
    complete: fc.constantFrom(true, true, false),
    least: someVersions,
    tags: fc.oneof({ weight: 3, arbitrary: fc.constant<string[]>([]) }, { weight: 1, arbitrary: someTags }),
    leastTagged: someVersions,
  })
  .map(({ startMs, tookMs, ...others }) => purge({ startMs, endMs: startMs + tookMs, ...others }));

const histories: fc.Arbitrary<History> = fc.record({
  reads: fc.array(someReads, { maxLength: 12 }),
  purges: fc.array(somePurges, { maxLength: 6 }),
});
