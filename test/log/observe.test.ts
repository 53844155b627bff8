import { describe, expect, it } from 'vitest';
import type { Observer } from '../../src/cache/ports.ts';
import { createLog } from '../../src/log/log.ts';
import { combineObservers } from '../../src/log/combine-observers.ts';
import { callRecord, purgeRecord, requestRecord } from '../support/records.ts';

function observed(level: 'debug' | 'info' | 'warn' | 'error' | 'silent', requests: boolean) {
  const written: string[] = [];
  const log = createLog({ level, requests }, { stream: { write: (lines) => written.push(lines) } });
  return {
    observer: log.observer,
    lines: () => written.map((line): unknown => JSON.parse(line)),
  };
}

describe('the log of what happens', () => {
  it('has one line per request when asked for', () => {
    const { observer, lines } = observed('info', true);
    observer.request(requestRecord({ traceId: '4bf92f3577b34da6a3ce929d0e0e4736', durationMs: 0.123_456 }));
    expect(lines()).toEqual([
      expect.objectContaining({
        level: 'info',
        msg: 'request',
        method: 'GET',
        url: '/weather?location=berlin',
        route: 'weather',
        outcome: 'hit',
        status: 200,
        durationMs: 0.123,
        bytesSent: 1000,
        tier: 'memory',
        traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
      }),
    ]);
    expect(Object.keys(Object(lines()[0]))).not.toContain('fwd');
  });

  it('hears of each request that is like one before when it has a line for each, and need not when it has none', () => {
    const counted: number[] = [];
    const counter: Observer = {
      ...observed('silent', false).observer,
      repeats: () => ({ repeated: (bytes) => counted.push(bytes) }),
    };
    const loud = combineObservers([counter, observed('info', true).observer]);
    expect(loud.repeats?.(requestRecord())).toBeUndefined();
    const quiet = combineObservers([counter, observed('info', false).observer, counter]);
    quiet.repeats?.(requestRecord())?.repeated(7, 1);
    expect(counted).toEqual([7, 7]);
    combineObservers([observed('info', false).observer])
      .repeats?.(requestRecord())
      ?.repeated(7, 1);
    expect(counted).toEqual([7, 7]);
  });

  it('has none when not asked for, and none when silent', () => {
    const quiet = observed('debug', false);
    quiet.observer.request(requestRecord());
    const silent = observed('silent', true);
    silent.observer.request(requestRecord());
    silent.observer.purge(purgeRecord());
    expect([...quiet.lines(), ...silent.lines()]).toEqual([]);
  });

  it('cuts long targets', () => {
    const { observer, lines } = observed('info', true);
    const url = `/${'x'.repeat(100_000)}`;
    observer.request(requestRecord({ url }));
    observer.upstreamCall(callRecord({ url, status: undefined, failure: 'timeout' }));
    const lengths = lines().map((line) => JSON.stringify(line).length);
    expect(lengths).toHaveLength(2);
    expect(Math.max(...lengths)).toBeLessThan(3000);
  });

  it('tells of purges, of warming and of upstream calls that failed', () => {
    const { observer, lines } = observed('info', false);
    observer.purge(purgeRecord());
    observer.warm({ job: 'hourly', fetched: 2, reused: 0, failed: 0, durationMs: 5 });
    observer.warm({ job: 'hourly', fetched: 1, reused: 0, failed: 1, durationMs: 5, reason: 'no answer' });
    observer.warm({ job: 'hourly', fetched: 0, reused: 0, failed: 2, durationMs: 5, reason: 'no answer' });
    observer.upstreamCall(callRecord());
    observer.upstreamCall(callRecord({ status: undefined, failure: 'timeout', reason: 'no head in time' }));
    observer.upstreamCall(callRecord({ purpose: 'warm', status: 429, retryAfterMs: 60_000 }));
    observer.brokenBody({ upstream: 'met', failure: 'truncated', reason: 'no close_notify' });
    observer.storage('weather', 'stored');
    observer.limit('maxTargetBytes');
    expect(lines()).toEqual([
      expect.objectContaining({ level: 'info', msg: 'purge', by: 'tags', what: 'location:berlin', matched: 3 }),
      expect.objectContaining({ level: 'info', msg: 'warmed', fetched: 2 }),
      expect.objectContaining({ level: 'warn', msg: 'warming failed in part', failed: 1, reason: 'no answer' }),
      expect.objectContaining({ level: 'warn', msg: 'warming failed', failed: 2, reason: 'no answer' }),
      expect.objectContaining({
        level: 'warn',
        failure: 'timeout',
        upstream: 'met',
        url: '/weather?location=berlin',
        reason: 'no head in time',
      }),
      expect.objectContaining({ level: 'info', msg: 'upstream puts off warming and refreshes', retryAfterMs: 60_000 }),
      expect.objectContaining({ level: 'warn', failure: 'truncated', upstream: 'met', reason: 'no close_notify' }),
    ]);
  });

  it('tells of calls whose clients went at debug alone, since there is nothing to mend', () => {
    const gone = callRecord({ status: undefined, failure: 'aborted', clientGone: true });
    const ended = callRecord({ status: undefined, failure: 'aborted' });
    const { observer, lines } = observed('info', false);
    observer.upstreamCall(gone);
    observer.upstreamCall(ended);
    expect(lines()).toMatchObject([{ level: 'warn', msg: 'upstream call failed' }]);
    const all = observed('debug', false);
    all.observer.upstreamCall(gone);
    expect(all.lines()).toMatchObject([{ level: 'debug', msg: 'upstream call given up', failure: 'aborted' }]);
  });

  it('tells everything at debug', () => {
    const { observer, lines } = observed('debug', false);
    observer.upstreamCall(callRecord());
    observer.storage('weather', 'stored');
    observer.limit('maxTargetBytes');
    expect(lines()).toHaveLength(3);
  });
});

describe('combined observers', () => {
  it('all hear everything, in order', () => {
    const heard: string[] = [];
    const named = (name: string): Observer => ({
      request: () => heard.push(`${name} request`),
      upstreamCall: () => heard.push(`${name} upstreamCall`),
      brokenBody: () => heard.push(`${name} brokenBody`),
      storage: () => heard.push(`${name} storage`),
      purge: () => heard.push(`${name} purge`),
      warm: () => heard.push(`${name} warm`),
      limit: () => heard.push(`${name} limit`),
      fleet: () => heard.push(`${name} fleet`),
    });
    const both = combineObservers([named('a'), named('b')]);
    both.request(requestRecord());
    both.upstreamCall(callRecord());
    both.brokenBody({ upstream: 'met', failure: 'truncated', reason: undefined });
    both.storage('weather', 'stored');
    both.purge(purgeRecord());
    both.warm({ job: 'j', fetched: 0, reused: 0, failed: 0, durationMs: 0 });
    both.limit('x');
    const kinds = ['request', 'upstreamCall', 'brokenBody', 'storage', 'purge', 'warm', 'limit'];
    expect(heard).toEqual(kinds.flatMap((kind) => [`a ${kind}`, `b ${kind}`]));
  });
});
