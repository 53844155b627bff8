import { readdirSync } from 'node:fs';
import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import process from 'node:process';
import { counter, gauge, type Family, type Sample } from './family.ts';

/** Watches this thread until it is disposed. */
export interface ThreadWatch extends Disposable {
  /** As they are now; event-loop lag covers the time since the last call. */
  numbers(): ThreadNumbers;
}

/** What each thread of the process has for itself. Bytes, seconds. */
export interface ThreadNumbers {
  readonly heapTotal: number;
  readonly heapUsed: number;
  readonly external: number;
  readonly lagMean: number;
  readonly lagP99: number;
  readonly lagMax: number;
  /** 0 to 1. */
  readonly utilization: number;
}

const resolutionMs = 20;

export function watchThread(): ThreadWatch {
  const delay = monitorEventLoopDelay({ resolution: resolutionMs });
  delay.enable();
  return {
    numbers() {
      // The histogram holds the time between two ticks of its timer, so a loop without lag shows the resolution.
      const lag = (nanoseconds: number): number =>
        delay.count === 0 ? 0 : Math.max(0, nanoseconds / 1e9 - resolutionMs / 1000);
      const { heapTotal, heapUsed, external } = process.memoryUsage();
      const numbers = {
        heapTotal,
        heapUsed,
        external,
        lagMean: lag(delay.mean),
        lagP99: lag(delay.percentile(99)),
        lagMax: lag(delay.max),
        utilization: performance.eventLoopUtilization().utilization,
      };
      delay.reset();
      return numbers;
    },
    [Symbol.dispose]() {
      delay.disable();
    },
  };
}

/**
 * Process and event-loop metrics under their customary names. prom-client has its own, but some of those break the
 * naming rules that promtool checks (`nodejs_active_handles_total` is a gauge) and none can be switched off again.
 */
export function processFamilies(version: string, numbers: ThreadNumbers): readonly Family[] {
  const cpu = process.cpuUsage();
  return [
    gauge('forecache_build_info', 'Version of the program and of Node.js; always 1.', [
      { labels: { version, node_version: process.version }, value: 1 },
    ]),
    counter('process_cpu_seconds_total', 'User and system CPU time spent.', bare((cpu.user + cpu.system) / 1e6)),
    one('process_start_time_seconds', 'Start of the process, Unix time.', performance.timeOrigin / 1000),
    one('process_resident_memory_bytes', 'Resident memory.', process.memoryUsage.rss()),
    gauge('process_open_fds', 'Open file descriptors; absent where the system does not tell.', openFiles()),
    one('nodejs_heap_size_total_bytes', 'Size of the V8 heap.', numbers.heapTotal),
    one('nodejs_heap_size_used_bytes', 'Used part of the V8 heap.', numbers.heapUsed),
    one('nodejs_external_memory_bytes', 'Memory outside the V8 heap, Buffers included.', numbers.external),
    one('nodejs_eventloop_utilization_ratio', 'Part of its life that the event loop was busy.', numbers.utilization),
    one('nodejs_eventloop_lag_mean_seconds', 'Mean event-loop lag since the last scrape.', numbers.lagMean),
    one('nodejs_eventloop_lag_p99_seconds', '99th percentile of the lag.', numbers.lagP99),
    one('nodejs_eventloop_lag_max_seconds', 'Longest event-loop lag since the last scrape.', numbers.lagMax),
  ];
}

function one(name: string, help: string, value: number): Family {
  return gauge(name, help, bare(value));
}

function bare(value: number): readonly Sample[] {
  return [{ labels: {}, value }];
}

function openFiles(): readonly Sample[] {
  try {
    // Less the one that is open to read the folder.
    return bare(readdirSync('/proc/self/fd').length - 1);
  } catch {
    // No /proc: the family stays without a sample.
    return [];
  }
}
