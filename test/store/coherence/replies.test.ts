import { describe, expect, test } from 'vitest';

import {
  entryFields,
  type EntryContent,
  readAcksReply,
  readPurgeReply,
  readSyncReply,
} from '../../../src/store/coherence/replies.ts';
import { RedisFailure } from '../../../src/store/redis/link.ts';

const epoch = '0123456789abcdef';

/** What each script answers first. */
function head(why: unknown = 'new', made: unknown = 1): readonly unknown[] {
  return [epoch, 7, 2, 1000, why, made];
}

function contentOf(kind: unknown, content: unknown): EntryContent | undefined {
  return readSyncReply([...head(), [[3, '900', kind, content]], 400]).entries[0]?.what;
}

const everything = { kind: 'hard', scopes: ['all'] };

describe('the reply to a sync', () => {
  test('is read with what it says of the log, and the longest lease', () => {
    const entries = [
      [3, '900', 'hard', '["t:a","r:b"]'],
      [4, 'x', 'soft', '["all"]'],
      [5, '950', 'notice', 'warmed'],
    ];
    expect(readSyncReply([...head(), entries, 400])).toEqual({
      epoch,
      seq: 7,
      floor: 2,
      nowMs: 1000,
      reason: 'new',
      made: true,
      entries: [
        { seq: 3, atMs: 900, what: { kind: 'hard', scopes: ['t:a', 'r:b'] } },
        { seq: 4, atMs: 0, what: { kind: 'soft', scopes: ['all'] } },
        { seq: 5, atMs: 950, what: { kind: 'notice', notice: 'warmed' } },
      ],
      longestMs: 400,
    });
  });

  test.each(['new', 'failover', 'log-lost', 'behind'] as const)('says that the epoch began as %s', (why) => {
    expect(readSyncReply([...head(why, 0), [], 1])).toMatchObject({ reason: why, made: false });
  });

  test('takes a reason that it does not know for a new log', () => {
    expect(readSyncReply([...head('because', 0), [], 1]).reason).toBe('new');
  });

  test.each([
    ['of an unknown kind', 'harder', '["t:a"]'],
    ['that is no JSON', 'hard', '["t:a"'],
    ['that is no list', 'soft', '"t:a"'],
    ['of which one scope is no text', 'hard', '["t:a",1]'],
    ['of which no scope is a text', 'soft', '[1]'],
  ])('takes an entry %s for a purge of everything', (_what, kind, content) => {
    expect(contentOf(kind, content)).toEqual(everything);
  });

  test('reads what is written', () => {
    const written: readonly EntryContent[] = [
      { kind: 'hard', scopes: ['t:a "b"', 'u:/ü'] },
      { kind: 'soft', scopes: [] },
      { kind: 'notice', notice: '["t:a"]' },
    ];
    expect(written.map((what) => contentOf(...entryFields(what)))).toEqual(written);
  });
});

describe('the reply to a purge', () => {
  test('names the members with what is left of their leases, the longest one, and the age of the epoch', () => {
    const reply = readPurgeReply([
      ...head(),
      [
        ['ann', 300],
        ['bob', 0],
      ],
      400,
      5000,
    ]);
    expect(reply).toMatchObject({ epoch, seq: 7, longestMs: 400, ageMs: 5000 });
    expect(reply.members).toEqual([
      { id: 'ann', leftMs: 300 },
      { id: 'bob', leftMs: 0 },
    ]);
  });
});

describe('the reply to the question who has acknowledged', () => {
  test('tells who has left from who has acknowledged nothing', () => {
    const { acks } = readAcksReply([...head(), [4, 0, -1]], ['ann', 'bob', 'cat']);
    expect([...acks]).toEqual([
      ['ann', 4],
      ['bob', 0],
      ['cat', undefined],
    ]);
  });

  test('is none without a word of each', () => {
    expect(() => readAcksReply([...head(), [4]], ['ann', 'bob'])).toThrow(RedisFailure);
  });
});

describe('what is no reply', () => {
  test.each([
    ['no list', 'OK'],
    ['nothing', null],
    ['an epoch that is none', ['0123456789ABCDEF', 7, 2, 1000, 'new', 1, [], 400]],
    ['more than an epoch', [`${epoch}0`, 7, 2, 1000, 'new', 1, [], 400]],
    ['an epoch that is a number', [1_234_567_890_123_456, 7, 2, 1000, 'new', 1, [], 400]],
    ['a place that is a text', [epoch, '7', 2, 1000, 'new', 1, [], 400]],
    ['a place between two', [epoch, 7.5, 2, 1000, 'new', 1, [], 400]],
    ['entries that are none', [epoch, 7, 2, 1000, 'new', 1, 'x', 400]],
    ['an entry that is none', [epoch, 7, 2, 1000, 'new', 1, ['x'], 400]],
    ['an entry without its content', [epoch, 7, 2, 1000, 'new', 1, [[3, '900', 'hard']], 400]],
    ['no lease', [epoch, 7, 2, 1000, 'new', 1, []]],
  ])('is refused: %s', (_what, reply) => {
    expect(() => readSyncReply(reply)).toThrow(RedisFailure);
  });
});
