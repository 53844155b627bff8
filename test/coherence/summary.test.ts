import { describe, expect, it } from 'vitest';

import { sourceOf, type Purge, type Read } from './history.ts';
import { countsOf, usualDemands, vacuity } from './summary.ts';
import { emptyRecord } from './traffic.ts';

const readFrom = (source: Read['source']): Read => ({
  startMs: 0,
  endMs: 1,
  sidecar: 's1',
  key: 'a',
  version: 1,
  fetchedMs: 0,
  source,
  tags: [],
});

const usualSources = ['memory', 'redis', 'miss', 'validated', 'collapsed', 'fleet', 'lease'] as const;
const selectors = ['key', 'url', 'route', 'tag', 'tags', 'prefix', 'all', 'group', 'surrogate', 'shown-key', 'unsafe'];

const full = () => {
  const recorded = emptyRecord();
  const common = {
    startMs: 0,
    endMs: 1,
    sidecar: 's1',
    missing: [],
    least: new Map(),
    tags: [],
    leastTagged: new Map(),
  };
  for (let count = 0; count < 50; count += 1) {
    for (const source of usualSources) recorded.reads.push(readFrom(source));
    recorded.reads.push({ ...readFrom('memory'), tags: ['search:/a'] }, { ...readFrom('redis'), tags: ['search:/a'] });
    const by = selectors[count % selectors.length] ?? '';
    recorded.purges.push({ ...common, by, status: 200, complete: true });
  }
  recorded.faults.push({ startMs: 0, endMs: 1, kind: 'redis-freeze', what: 'redis' });
  return recorded;
};

const missedIn = (recorded: ReturnType<typeof full>, asked = ['redis-freeze']) =>
  vacuity(countsOf(recorded), usualDemands({ seconds: 26, mode: 'standalone', sidecars: 4 }, asked));

const notCompleted = (purge: Purge): Purge => ({ ...purge, status: 503, complete: false });

describe('a run', () => {
  it('proves something with enough of everything', () => {
    expect(missedIn(full())).toEqual([]);
  });

  it('is vacuous with too few completed purges, however many answered otherwise', () => {
    const recorded = full();
    const purges = recorded.purges.map((purge, index) => (index < 12 ? purge : notCompleted(purge)));
    expect(missedIn({ ...recorded, purges })).toEqual(['completed purges: 12, but at least 13 are needed']);
  });

  it.each(selectors)('is vacuous without a completed purge by %s', (selector) => {
    const recorded = full();
    const purges = recorded.purges.map((purge) => (purge.by === selector ? notCompleted(purge) : purge));
    expect(missedIn({ ...recorded, purges })).toEqual([
      `completed purges by ${selector}: 0, but at least 1 are needed`,
    ]);
  });

  it.each(usualSources)('is vacuous without reads from %s', (source) => {
    const recorded = full();
    const reads = recorded.reads.filter((read) => read.source !== source);
    expect(missedIn({ ...recorded, reads })).toEqual([expect.stringMatching(`^reads from ${source}: 0, but at least`)]);
  });

  it('is vacuous without reads from store under a key that a rule of upstream has made', () => {
    const recorded = full();
    const fetched: Read[] = recorded.reads.map((read) => (read.tags.length > 0 ? { ...read, source: 'miss' } : read));
    expect(missedIn({ ...recorded, reads: fetched })).toEqual([
      'reads under keys by rules of upstream: 0, but at least 5 are needed',
    ]);
  });

  it('is vacuous where a kind of fault that was asked for never came', () => {
    expect(missedIn(full(), ['redis-freeze', 'flushall'])).toEqual([
      'faults of kind flushall: 0, but at least 1 are needed',
    ]);
  });

  it('needs no read without a lease where nothing goes wrong', () => {
    const recorded = full();
    const reads = recorded.reads.filter((read) => read.source !== 'lease');
    expect(missedIn({ ...recorded, reads, faults: [] }, [])).toEqual([]);
  });

  it('needs no read from what it has not: the fleet with one sidecar, Redis and validation without Redis', () => {
    const recorded = full();
    const without = (...left: readonly string[]) => ({
      ...countsOf({ ...recorded, reads: recorded.reads.filter(({ source }) => !left.includes(source)) }),
    });
    const one = { seconds: 20, sidecars: 1 };
    expect(vacuity(without('fleet'), usualDemands({ ...one, mode: 'standalone' }, []))).toEqual([]);
    expect(vacuity(without('fleet', 'redis', 'validated'), usualDemands({ ...one, mode: 'alone' }, []))).toEqual([]);
  });
});

describe('the source of an answer', () => {
  it.each([
    ['forecache; hit; ttl=3599; detail=memory', 'memory'],
    ['forecache; hit; ttl=-1; detail=redis', 'redis'],
    ['forecache; fwd=uri-miss; fwd-status=200; stored', 'miss'],
    ['forecache; fwd=vary-miss; fwd-status=200; stored', 'miss'],
    ['forecache; fwd=stale; fwd-status=304; stored', 'validated'],
    ['forecache; fwd=uri-miss; collapsed', 'collapsed'],
    ['forecache; fwd=uri-miss; collapsed; detail=redis', 'fleet'],
    ['forecache; fwd=bypass; fwd-status=200; detail=lease', 'lease'],
    ['other; hit, forecache; fwd=uri-miss; fwd-status=200', 'miss'],
    ['other; hit', 'other'],
  ])('is read from %s', (cacheStatus, source) => {
    expect(sourceOf(cacheStatus)).toBe(source);
  });
});
