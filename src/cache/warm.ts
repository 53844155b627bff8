import { type WarmConfig, type WarmJob, warmingByCall } from '../core/config.ts';
import { ok, type Result } from '../core/problem.ts';
import type { RouteTable } from '../core/route-table.ts';
import type { JobLeases } from './fleet-ports.ts';
import { createLimiter, type Limiter } from './limiter.ts';
import type { WarmItem, WarmReport, WarmRequest } from './operations.ts';
import type { Background, Clock, Observer, Sha256 } from './ports.ts';
import { instantOf, putOff } from './refresh.ts';
import type { Refresher, RefreshInput, RefreshOutcome } from './refresher.ts';
import type { RetryTimes } from './retry-times.ts';
import { JobTimers } from './warm-timers.ts';
import { planJob, planRequest, type PlannedWarm } from './warm-plan.ts';
import { type JobPutOff, WarmTurns } from './warm-turns.ts';
import { warmTarget } from './warm-target.ts';

export interface WarmerParts {
  readonly config: WarmConfig;
  readonly table: RouteTable;
  readonly refresher: Refresher;
  readonly observer: Pick<Observer, 'warm'>;
  readonly clock: Clock;
  readonly background: Background;
  /** Shared with the refresher, where that is of this thread. */
  readonly retryTimes: RetryTimes;
  /** Each run of a job is claimed, so that it is done once for the fleet. */
  readonly leases: JobLeases;
  readonly sha256: Sha256;
  /** 0 up to but not 1, for jitter. */
  readonly random: () => number;
}

export interface Warmer {
  /**
   * Runs each job within seconds, and then at its interval, moved by a random part of its jitter; of a fleet one process
   * does. Where Redis does not answer nobody warms: nothing could be served from store then.
   */
  start(): void;
  /** No job begins after this; what is under way ends with the background's signal. */
  stop(): void;
  /**
   * Fetches ahead what an operator names. Refused with a 400 for an unknown route, for too many requests, and for
   * locations when no job uses one; requests that fail are in the report and stop no others.
   */
  run(request: WarmRequest): Promise<Result<WarmReport>>;
}

/** All jobs and calls share one limit of fetches at once, `config.concurrency`. */
export function createWarmer(parts: WarmerParts): Warmer {
  const { config, table, clock, background } = parts;
  const limited = createLimiter(config.concurrency);
  const turns = new WarmTurns({ ...parts, locations: config.locations, warm: warmJob });
  const timers = new JobTimers({ jobs: config.jobs, clock, random: parts.random, run: runJob });

  async function warmJob(job: WarmJob, signal: AbortSignal): Promise<JobPutOff | undefined> {
    const planned = planJob(table, job, config.locations, clock.nowMs());
    const { putOff: left } = await warmAll(parts, limited, { job: job.name, planned }, signal);
    if (left.length === 0) return undefined;
    const nowMs = clock.monotonicMs();
    return {
      count: left.length,
      leftMs: left.reduce((least, { untilMs }) => Math.min(least, untilMs - nowMs), Number.POSITIVE_INFINITY),
    };
  }

  function runJob(job: WarmJob, ended: (againMs?: number) => void): void {
    background.run(`warm ${job.name}`, async (signal) => {
      let againMs: number | undefined;
      try {
        againMs = await turns.take(job, signal);
      } finally {
        ended(againMs);
      }
    });
  }

  async function run(request: WarmRequest): Promise<Result<WarmReport>> {
    const planned = planRequest(table, config, request, clock.nowMs());
    if (!planned.ok) return planned;
    const { promise, resolve, reject } = Promise.withResolvers<WarmReport>();
    const work = { job: warmingByCall, planned: planned.value };
    // The background owns the work, so that stopping ends it; whoever asked only waits for its report.
    background.run('warm by request', (signal) =>
      warmAll(parts, limited, work, signal).then(({ report }) => resolve(report), reject),
    );
    return ok(await promise);
  }

  return {
    start: () => timers.start(),
    stop() {
      turns.stop();
      timers.stop();
    },
    run,
  };
}

interface WarmWork {
  /** The job's name, or {@link warmingByCall}. */
  readonly job: string;
  readonly planned: readonly PlannedWarm[];
}

async function warmAll(
  parts: WarmerParts,
  limited: Limiter,
  { job, planned }: WarmWork,
  signal: AbortSignal,
): Promise<Warmed> {
  const startMs = parts.clock.monotonicMs();
  const run: Run = { limited, refusedBy: new Set(), unasked: 0, putOff: [], signal };
  const items = await Promise.all(planned.map((one) => warmOne(parts, run, one)));
  const count = (result: WarmItem['result']): number => items.filter((item) => item.result === result).length;
  const counts = { fetched: count('fetched'), reused: count('reused'), failed: count('failed') };
  const durationMs = parts.clock.monotonicMs() - startMs;
  const reason = items.find((item) => item.result === 'failed')?.detail;
  const unasked = run.unasked === 0 ? {} : { unasked: run.unasked };
  parts.observer.warm({ job, ...counts, ...unasked, durationMs, ...(reason === undefined ? {} : { reason }) });
  return { report: { ...counts, durationMs, items }, putOff: run.putOff };
}

/** What came of one run. */
interface Warmed extends Pick<Run, 'putOff'> {
  readonly report: WarmReport;
}

/** One run of a job, or one call. */
interface Run {
  readonly limited: Limiter;
  /** Upstreams that answered with 429: they are asked for nothing more in this run, which would cost quota and fail as well. */
  readonly refusedBy: Set<string>;
  /** Requests that failed for that. */
  unasked: number;
  /** Of each request that upstream put off by Retry-After, on the monotonic clock. */
  readonly putOff: { readonly untilMs: number }[];
  readonly signal: AbortSignal;
}

async function warmOne(parts: WarmerParts, run: Run, { route, values }: PlannedWarm): Promise<WarmItem> {
  const failed = { route: route.name, result: 'failed' } as const;
  if (!values.ok) return { ...failed, url: route.match, detail: values.error };
  const target = warmTarget(parts, route, values.value);
  if (!target.ok) return { ...failed, url: target.error.url, detail: target.error.detail };
  const { keyed } = target.value;
  const { reuseAbove } = parts.config;
  const input = { route, keyed, purpose: 'warm', reuseAbove, values: values.value } as const;
  const outcome = await run.limited(() => refreshIn(run, parts, input));
  const { result, status, detail, retryAfterMs } = outcome;
  if (retryAfterMs !== undefined) run.putOff.push({ untilMs: parts.clock.monotonicMs() + retryAfterMs });
  return {
    url: keyed.url,
    route: route.name,
    result,
    ...(status === undefined ? {} : { status }),
    ...(detail === undefined ? {} : { detail }),
    ...(retryAfterMs === undefined ? {} : { retryAt: instantOf(parts.clock.nowMs() + retryAfterMs) }),
  };
}

/** When its turn has come. */
async function refreshIn(run: Run, parts: WarmerParts, input: RefreshInput): Promise<RefreshOutcome> {
  if (run.signal.aborted) return stopping;
  const { upstream } = input.route;
  const unasked = putOff(parts, { upstream, key: input.keyed.key }) ?? refusedOnce(run.refusedBy, upstream);
  const done = await parts.refresher.refresh({ ...input, withoutCall: unasked?.detail }, run.signal);
  if (unasked !== undefined && done.detail === unasked.detail) {
    run.unasked += 1;
    return unasked;
  }
  learn(run, parts, input, done);
  if (isPutOff(done)) run.unasked += 1;
  return done;
}

/** Where another thread has asked, only that one knows by itself. */
function learn(run: Run, { retryTimes }: WarmerParts, { route, keyed }: RefreshInput, outcome: RefreshOutcome): void {
  const { status, retryAfterMs, isAlone } = outcome;
  if (status === tooManyRequests) run.refusedBy.add(route.upstream);
  if (retryAfterMs === undefined) return;
  if (isAlone === true) retryTimes.putOffKey(keyed.key, retryAfterMs);
  else retryTimes.putOff(route.upstream, retryAfterMs);
}

function isPutOff({ status, retryAfterMs }: RefreshOutcome): boolean {
  return status === undefined && retryAfterMs !== undefined;
}

/** Without Retry-After a 429 counts for the rest of the run. */
function refusedOnce(refusedBy: ReadonlySet<string>, upstream: string): RefreshOutcome | undefined {
  if (!refusedBy.has(upstream)) return undefined;
  const detail = `not asked for: upstream ${upstream} had answered with 429 (Too Many Requests)`;
  return { result: 'failed', status: undefined, detail };
}

/** RFC 6585 §4. */
const tooManyRequests = 429;

const stopping: RefreshOutcome = { result: 'failed', status: undefined, detail: 'the proxy is stopping' };
