import { describe, expect, it } from 'vitest';

import type { FleetEvent } from '../../src/cache/fleet-ports.ts';
import { createLog } from '../../src/log/log.ts';
import { createLogObserver } from '../../src/log/observe.ts';
import { purgeRecord } from '../support/records.ts';

const epoch = '0123456789abcdef';
const lost = { kind: 'lease', state: 'lost' } as const;
const gained = { kind: 'lease', state: 'gained' } as const;

function observed(level: 'debug' | 'info' = 'info') {
  let nowMs = 0;
  const written: string[] = [];
  const log = createLog({ level, requests: true }, { stream: { write: (lines) => written.push(lines) } });
  return {
    observer: createLogObserver(log, { requests: true }, () => nowMs),
    pass: (ms: number) => (nowMs += ms),
    /** What was written since the last call. */
    lines: () => written.splice(0).map((line): unknown => JSON.parse(line)),
    messages: () => written.splice(0).map((line) => String(Object(JSON.parse(line))['msg'])),
  };
}

describe('lines of the fleet', () => {
  it('tell of leases and the breaker: warn when lost or open, info when it is over', () => {
    const { observer, lines } = observed();
    const events: readonly FleetEvent[] = [
      gained,
      lost,
      gained,
      { kind: 'breaker', state: 'open' },
      { kind: 'breaker', state: 'half-open' },
      { kind: 'breaker', state: 'closed' },
    ];
    for (const event of events) observer.fleet(event);
    expect(lines()).toEqual([
      expect.objectContaining({ level: 'info', msg: 'lease gained' }),
      expect.objectContaining({ level: 'warn', msg: 'lease lost: nothing is served from store' }),
      expect.objectContaining({ level: 'info', msg: 'lease gained' }),
      expect.objectContaining({ level: 'warn', msg: 'breaker open: Redis is not asked' }),
      expect.objectContaining({ level: 'info', msg: 'breaker closed' }),
    ]);
  });

  it('tell of no trouble where a process that ends in good order gives its lease up', () => {
    const { observer, messages } = observed();
    observer.fleet(gained);
    observer.fleet({ ...lost, left: true });
    expect(messages()).toEqual(['lease gained']);
  });

  it('tell why there is no lease where Redis refuses the purge log, once, and when there is one', () => {
    const { observer, lines } = observed();
    const sync = (result: Extract<FleetEvent, { kind: 'sync' }>['result']): void =>
      observer.fleet({ kind: 'sync', result, durationMs: 1 });
    const refused = 'no lease, since Redis refuses the purge log: nothing is served from store';
    for (const result of ['closed', 'readonly', 'closed', 'readonly', 'readonly', 'auth'] as const) sync(result);
    observer.fleet(gained);
    // It may be over before the lease is.
    for (const result of ['ok', 'noreplicas', 'ok'] as const) sync(result);
    observer.fleet(lost);
    for (const result of ['noreplicas', 'noreplicas'] as const) sync(result);
    observer.fleet(gained);
    expect(lines()).toEqual([
      expect.objectContaining({ level: 'warn', result: 'readonly', msg: refused }),
      expect.objectContaining({ level: 'warn', result: 'auth', msg: refused }),
      expect.objectContaining({ level: 'info', msg: 'lease gained' }),
      expect.objectContaining({ level: 'warn', msg: 'lease lost: nothing is served from store' }),
      expect.objectContaining({ level: 'warn', result: 'noreplicas', msg: refused }),
      expect.objectContaining({ level: 'info', msg: 'lease gained' }),
    ]);
  });

  it('tell of a new epoch with its reason: info for the first of an empty Redis, warn for every other', () => {
    const { observer, lines } = observed();
    for (const reason of ['new', 'new', 'failover'] as const) observer.fleet({ kind: 'epoch', reason, epoch });
    expect(lines()).toEqual([
      expect.objectContaining({ level: 'info', reason: 'new', epoch }),
      expect.objectContaining({ level: 'warn', reason: 'new', epoch }),
      expect.objectContaining({ level: 'warn', reason: 'failover', epoch }),
    ]);
    const later = observed();
    later.observer.fleet({ kind: 'epoch', reason: 'log-lost', epoch });
    expect(later.lines()).toEqual([expect.objectContaining({ level: 'warn', reason: 'log-lost' })]);
  });

  it('tell of values, purges and jobs that came to nothing', () => {
    const { observer, lines } = observed();
    observer.fleet({ kind: 'unusable', reason: 'checksum' });
    observer.fleet({ kind: 'purge-refused', code: 'purge-unsure', source: 'schedule' });
    observer.fleet({ kind: 'job', name: 'warm:hourly:0', result: 'unavailable' });
    observer.fleet({ kind: 'job', name: 'warm:hourly:0', result: 'lost' });
    for (const result of ['ours', 'running', 'done'] as const) observer.fleet({ kind: 'job', name: 'x', result });
    expect(lines()).toEqual([
      expect.objectContaining({ level: 'warn', reason: 'checksum' }),
      expect.objectContaining({ level: 'warn', code: 'purge-unsure', source: 'schedule' }),
      expect.objectContaining({ level: 'warn', job: 'warm:hourly:0', msg: 'job put off: Redis does not answer' }),
      expect.objectContaining({ level: 'warn', job: 'warm:hourly:0', msg: 'lease of a job lapsed while it ran' }),
    ]);
  });

  it('are silent of what happens with every request, but for debug', () => {
    const often: readonly FleetEvent[] = [
      { kind: 'sync', result: 'timeout', durationMs: 1 },
      { kind: 'refused', reason: 'lease' },
      { kind: 'redis', operation: 'get', result: 'lease', durationMs: 0, bytes: 0 },
      { kind: 'acknowledged', sidecars: [], missing: 0 },
    ];
    const info = observed('info');
    const debug = observed('debug');
    for (const event of often) for (const { observer } of [info, debug]) observer.fleet(event);
    expect(info.lines()).toEqual([]);
    expect(debug.lines()).toMatchObject(often.map(({ kind }) => ({ level: 'debug', event: kind })));
  });

  it('of one trouble are five at once and then one a minute, which says how many were not written', () => {
    const { observer, lines, pass } = observed();
    for (let count = 0; count < 1000; count += 1) observer.fleet({ kind: 'unusable', reason: 'foreign' });
    expect(lines()).toHaveLength(5);
    pass(59_999);
    observer.fleet({ kind: 'unusable', reason: 'foreign' });
    expect(lines()).toEqual([]);
    pass(1);
    observer.fleet({ kind: 'unusable', reason: 'foreign' });
    observer.fleet({ kind: 'unusable', reason: 'foreign' });
    expect(lines()).toEqual([expect.objectContaining({ unsaid: 996 })]);
    // Never more than five, however long it was quiet.
    pass(3_600_000);
    for (let count = 0; count < 1000; count += 1) observer.fleet({ kind: 'unusable', reason: 'foreign' });
    expect(lines()).toHaveLength(5);
    // Other troubles have their own.
    observer.fleet({ kind: 'purge-refused', code: 'x', source: 'api' });
    expect(lines()).toHaveLength(1);
  });

  it('say of each lease that they said was lost that it is back, however often it comes and goes', () => {
    const { observer, messages, pass } = observed();
    observer.fleet(gained);
    for (let times = 0; times < 100; times += 1) {
      observer.fleet(lost);
      observer.fleet(gained);
    }
    const flapping = messages();
    expect(flapping).toHaveLength(11);
    expect(flapping.at(-1)).toBe('lease gained');
    pass(60_000);
    observer.fleet(lost);
    observer.fleet(lost);
    observer.fleet(gained);
    expect(messages()).toEqual(['lease lost: nothing is served from store', 'lease gained']);
  });
});

describe('the line of a purge', () => {
  it('warns where sidecars are missing or it is not complete, and names no more than twenty', () => {
    const { observer, lines } = observed();
    const many = Array.from({ length: 500 }, (_, index) => `sidecar-${index}`);
    observer.purge(purgeRecord());
    observer.purge(purgeRecord({ missing: ['two'] }));
    observer.purge(purgeRecord({ missing: many, complete: false }));
    expect(lines()).toEqual([
      expect.objectContaining({ level: 'info', msg: 'purge', complete: true }),
      expect.objectContaining({ level: 'warn', msg: 'purge with sidecars missing', missing: ['two'], missingCount: 1 }),
      expect.objectContaining({
        level: 'warn',
        msg: 'purge not complete yet',
        complete: false,
        missing: many.slice(0, 20),
        missingCount: 500,
      }),
    ]);
  });
});
