import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { describe, expect, it } from 'vitest';

import type { RelayDecision } from '../../src/cache/handled.ts';
import type { BrokenBodyRecord, Observer, UpstreamCallRecord } from '../../src/cache/ports.ts';
import type { RelayResult } from '../../src/cache/relay-types.ts';
import type { RequestRecord } from '../../src/core/outcome.ts';
import { Recorder, type Transit } from '../../src/server/recorder.ts';
import { FakeClock } from '../support/clock.ts';
import { cacheOffRoute } from '../support/relay-route.ts';

const relay: RelayDecision = {
  route: cacheOffRoute,
  target: '/x?key=secret',
  url: '/x',
  fwd: 'bypass',
  cacheStatus: 'forecache; fwd=bypass',
  settled: () => ({ ready: undefined, tap: undefined }),
};

const done: RelayResult = {
  status: 200,
  bytesSent: 5,
  problem: undefined,
  failure: undefined,
  reason: undefined,
  aborted: false,
  attempts: 1,
};

interface Heard {
  readonly requests: RequestRecord[];
  readonly calls: UpstreamCallRecord[];
  readonly broken: BrokenBodyRecord[];
  readonly limits: string[];
}

function rig(): {
  readonly recorder: Recorder;
  readonly clock: FakeClock;
  readonly transit: Transit;
  readonly heard: Heard;
} {
  const heard: Heard = { requests: [], calls: [], broken: [], limits: [] };
  const observer: Pick<Observer, 'request' | 'upstreamCall' | 'brokenBody' | 'limit'> = {
    request: (record) => heard.requests.push(record),
    upstreamCall: (call) => heard.calls.push(call),
    brokenBody: (record) => heard.broken.push(record),
    limit: (option) => heard.limits.push(option),
  };
  const clock = new FakeClock();
  const recorder = new Recorder({ observer, clock });
  const req = new IncomingMessage(new Socket());
  req.method = 'POST';
  return { recorder, clock, transit: recorder.begin(req, 'default', false), heard };
}

/** What is told of a relayed request that came to this, its head having come or not. */
function told(result: Partial<RelayResult>, answered?: number): Heard {
  const { recorder, transit, heard } = rig();
  if (answered !== undefined) recorder.answered(transit, relay, { status: answered, attempts: 1 });
  recorder.relayed(transit, relay, { ...done, ...result });
  return heard;
}

describe('A relayed request', () => {
  it.each([
    ['that is whole', {}, 'relayed', undefined],
    ['that the client left', { aborted: true }, 'aborted', undefined],
    ['that was refused', { status: 413, problem: 'content-too-large', attempts: 0 }, 'rejected', 'content-too-large'],
    ['that failed', { status: 502, problem: 'upstream-reset', failure: 'reset' }, 'error', 'upstream-reset'],
    ['that broke off', { failure: 'truncated' }, 'error', undefined],
    ['that became a WebSocket which upstream cut', { status: 101, failure: 'reset' }, 'relayed', undefined],
  ] as readonly (readonly [string, Partial<RelayResult>, string, string | undefined])[])(
    '%s has an outcome',
    (_what, result, outcome, problem) => {
      const { requests } = told(result, result.status === 502 || result.attempts === 0 ? undefined : result.status);
      expect(requests).toMatchObject([{ outcome, problem, route: 'live', upstream: 'api', fwd: 'bypass', url: '/x' }]);
    },
  );

  it('is one call: when its head comes, or when it fails before', () => {
    expect(told({}, 200).calls).toMatchObject([{ status: 200, failure: undefined, attempts: 1 }]);
    const late = { failure: 'timeout', reason: 'it took too long', attempts: 2 } as const;
    expect(told({ status: 504, ...late }).calls).toMatchObject([{ status: undefined, ...late }]);
    expect(told({ status: 0, aborted: true }).calls).toMatchObject([{ failure: 'aborted' }]);
  });

  it('that never got a connection is no call', () => {
    expect(told({ status: 413, problem: 'content-too-large', attempts: 0 })).toMatchObject({
      calls: [],
      limits: ['server.limits.maxBodyBytes'],
    });
  });

  it('that broke off behind its head is a broken body; a switched connection has none', () => {
    expect(told({ failure: 'truncated', reason: 'why' }, 200).broken).toEqual([
      { upstream: 'api', failure: 'truncated', reason: 'why' },
    ]);
    expect(told({ status: 101, failure: 'reset' }, 101).broken).toEqual([]);
    expect(told({ status: 502, failure: 'reset' }).broken).toEqual([]);
    expect(told({ aborted: true }, 200).broken).toEqual([]);
  });

  it('that the server answered in its place is recorded with that answer', () => {
    const { recorder, transit, heard } = rig();
    transit.refusal = { status: 408, code: 'request-timeout', title: 'Request Timeout', detail: 'Late.' };
    recorder.relayed(transit, relay, { ...done, status: 0, aborted: true });
    expect(heard.requests).toMatchObject([{ outcome: 'rejected', status: 408, problem: 'request-timeout' }]);
  });
});

describe('Any request', () => {
  it('is recorded once, with the time that it took', () => {
    const { recorder, transit, heard, clock } = rig();
    clock.advance(250);
    recorder.relayed(transit, relay, done);
    clock.advance(250);
    recorder.dropped(transit);
    expect(heard.requests).toMatchObject([
      { outcome: 'relayed', durationMs: 250, method: 'POST', listener: 'default' },
    ]);
  });

  it('that never ran is aborted, and of no route', () => {
    const { recorder, transit, heard } = rig();
    recorder.dropped(transit);
    expect(heard).toMatchObject({
      calls: [],
      requests: [{ outcome: 'aborted', status: 0, route: undefined, url: '-' }],
    });
  });
});
