import { describe, expect, it } from 'vitest';

import { sourceOf, type Read } from './history.ts';
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
});

const full = () => {
  const recorded = emptyRecord();
  const common = { startMs: 0, endMs: 1, sidecar: 's1', by: 'url', missing: [], least: new Map() };
  for (let count = 0; count < 50; count += 1) {
    for (const source of ['memory', 'redis', 'miss', 'collapsed', 'lease'] as const)
      recorded.reads.push(readFrom(source));
    recorded.purges.push({ ...common, status: 200, complete: true });
  }
  recorded.faults.push({ startMs: 0, endMs: 1, kind: 'redis-freeze', what: 'redis' });
  return recorded;
};

const missedIn = (recorded: ReturnType<typeof full>, asked = ['redis-freeze']) =>
  vacuity(countsOf(recorded), usualDemands(20, asked));

describe('a run', () => {
  it('proves something with enough of everything', () => {
    expect(missedIn(full())).toEqual([]);
  });

  it('is vacuous with too few completed purges, however many answered otherwise', () => {
    const recorded = full();
    const purges = recorded.purges.map((purge, index) =>
      index < 9 ? purge : { ...purge, status: 503, complete: false },
    );
    expect(missedIn({ ...recorded, purges })).toEqual(['completed purges: 9, but at least 10 are needed']);
  });

  it.each(['memory', 'redis', 'miss', 'collapsed', 'lease'] as const)('is vacuous without reads from %s', (source) => {
    const recorded = full();
    const reads = recorded.reads.filter((read) => read.source !== source);
    expect(missedIn({ ...recorded, reads })).toEqual([expect.stringMatching(`^reads from ${source}: 0, but at least`)]);
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
