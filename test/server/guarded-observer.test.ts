import { expect, it } from 'vitest';

import type { Observer } from '../../src/cache/ports.ts';
import { guardObserver } from '../../src/server/guarded-observer.ts';
import { requestRecord } from '../support/records.ts';

it('an observer that throws where it is told of the fleet ends nothing, and is heard of each time', () => {
  const bugs: unknown[] = [];
  const error = new Error('a bug');
  const throwing = (): never => {
    throw error;
  };
  const observer: Observer = {
    request: throwing,
    upstreamCall: throwing,
    brokenBody: throwing,
    storage: throwing,
    purge: throwing,
    warm: throwing,
    limit: throwing,
    fleet: throwing,
    repeats: throwing,
  };
  const guarded = guardObserver(observer, (bug) => bugs.push(bug));
  guarded.fleet({ kind: 'redis', operation: 'get', result: 'hit', durationMs: 1, bytes: 1 });
  guarded.request(requestRecord());
  guarded.limit('maxTargetBytes');
  expect(guarded.repeats?.(requestRecord())).toBeUndefined();
  expect(bugs).toEqual([error, error, error, error]);
});
