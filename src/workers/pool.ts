import type { Clock } from '../cache/ports.ts';
import type { Config } from '../core/config.ts';
import { shareOf } from '../core/worker-shares.ts';
import { describe } from '../log/describe.ts';
import type { Log } from '../log/log.ts';
import type { SharedBounds } from '../process-memory.ts';
import { newProcessMark } from '../process-mark.ts';
import type { BoundListener } from '../server/data-server.ts';
import { assertFree } from './assert-free.ts';
import type { CallName, NumbersCall, WorkerCalls, WorkerStart } from './messages.ts';
import type { PurgeWire } from './shared-purges.ts';
import { type WorkerEnd, WorkerThread } from './worker-thread.ts';

export interface PoolOptions {
  readonly config: Config;
  readonly count: number;
  /** `undefined`: purges go through Redis. */
  readonly wire: PurgeWire | undefined;
  /** Of the process, where that is the proxy's alone. */
  readonly bounds: SharedBounds | undefined;
  readonly log: Log;
  readonly clock: Pick<Clock, 'monotonicMs' | 'after'>;
  /** Hears of each worker that is gone, once nothing more comes from it. */
  readonly onGone: (worker: WorkerThread) => void;
  /** Hears of each worker that is about to call an upstream for the first time. */
  readonly onFetching?: ((worker: WorkerThread) => void) | undefined;
  /** Tests have shorter ones. */
  readonly times?: PoolTimes;
}

/** Milliseconds. */
export interface PoolTimes {
  /** A worker that has said nothing for so long is stuck; it says something every second. */
  readonly stuckMs: number;
  /** Who has no turn of its event loop for so long is not asked for what others would wait for. */
  readonly turnMs: number;
  /** What all workers are asked is answered without those that take longer. */
  readonly answerMs: number;
  /** The first pause before a worker is started again; twice as long each time that it ended soon. */
  readonly pauseMs: number;
  readonly longestPauseMs: number;
  /** Who lived so long is not one that ends soon. */
  readonly soundMs: number;
  /** Beyond drain and grace, until a worker that does not stop is ended. */
  readonly stopMs: number;
}

const poolTimes: PoolTimes = {
  stuckMs: 30_000,
  turnMs: 200,
  answerMs: 5_000,
  pauseMs: 100,
  longestPauseMs: 10_000,
  soundMs: 60_000,
  stopMs: 5_000,
};

/**
 * Silence is counted in looks, not in time: a process that was stopped for a minute and goes on has one look that is late, not
 * workers that are stuck.
 */
const LOOKS = 6;

/** Why workers were started again. */
export interface Restarts {
  /** By a bug, or for want of memory. */
  ended: number;
  stuck: number;
}

/** The workers: starts them, starts again those that end, stops them. */
export class WorkerPool {
  readonly restarts: Restarts = { ended: 0, stuck: 0 };
  /** As of {@link WorkerStart}; those that are started again have it too. */
  readonly processMark = newProcessMark();
  readonly #options: PoolOptions;
  readonly #times: PoolTimes;
  /** By place; those that serve. */
  readonly #serving = new Map<number, WorkerThread>();
  readonly #all = new Set<WorkerThread>();
  readonly #waits = new Set<() => void>();
  #listeners: readonly BoundListener[] = [];
  #isStarted = false;
  #stopping = false;
  #cancelWatch: () => void = () => undefined;

  constructor(options: PoolOptions) {
    this.#options = options;
    this.#times = options.times ?? poolTimes;
  }

  /** Those that serve now, by place. */
  get serving(): readonly WorkerThread[] {
    return [...this.#serving.values()].toSorted((one, other) => one.place - other.place);
  }

  get listeners(): readonly BoundListener[] {
    return this.#listeners;
  }

  /** Resolves when all of them serve; where one cannot, none is left and it rejects. */
  async start(): Promise<readonly BoundListener[]> {
    const { config, count } = this.#options;
    try {
      // With SO_REUSEPORT a second program on the same ports would get its part of the connections instead of an error.
      await assertFree(config.server.listeners);
      // A free port is chosen by the first; the others go there too.
      const first = config.server.listeners.some(({ port }) => port === 0) ? 1 : count;
      const places = Array.from({ length: count }, (_none, index) => index + 1);
      const [listeners = []] = await Promise.all(places.slice(0, first).map((place) => this.#add(place, 0)));
      this.#listeners = listeners;
      await Promise.all(places.slice(first).map((place) => this.#add(place, 0)));
      this.#isStarted = true;
      this.#watch();
      return this.#listeners;
    } catch (error) {
      await this.end();
      throw error;
    }
  }

  /** Of those that serve, the ones whose event loops have a turn in time; those without one are waited for once. */
  async attentive(): Promise<readonly WorkerThread[]> {
    const { clock } = this.#options;
    const asked = this.serving.map(async (worker) =>
      (await worker.hasTurn(clock, this.#times.turnMs)) ? [worker] : [],
    );
    return (await Promise.all(asked)).flat();
  }

  /** Of those asked, by default all that serve, which answer in time; who ends meanwhile is left out. */
  async askAll<Name extends CallName>(
    name: Name,
    input: WorkerCalls[Name]['input'],
    workers: readonly WorkerThread[] = this.serving,
  ): Promise<readonly (readonly [WorkerThread, WorkerCalls[Name]['output']])[]> {
    const answers: (readonly [WorkerThread, WorkerCalls[Name]['output']])[] = [];
    await this.#inTime(
      workers.map(async (worker) => {
        answers.push([worker, await worker.call(name, input)]);
      }),
    );
    // A copy: whoever comes late changes nothing any more.
    return answers.toSorted(([one], [other]) => one.place - other.place);
  }

  /**
   * Has those that serve tell their numbers; who does not in time is left with what it told last. Each is heard as it answers: what it
   * tells by itself while others are waited for is newer.
   */
  async hearNumbers(asked: NumbersCall): Promise<void> {
    await this.#inTime(this.serving.map((worker) => worker.askNumbers(asked)));
  }

  async #inTime(asked: readonly Promise<void>[]): Promise<void> {
    const late = Promise.withResolvers<void>();
    const cancel = this.#options.clock.after(this.#times.answerMs, () => late.resolve());
    await Promise.race([Promise.allSettled(asked), late.promise]);
    cancel();
  }

  /** Each ends what it serves, with the grace of the configuration; resolves when all are gone. */
  async stop(): Promise<void> {
    this.#rest();
    const { config, clock } = this.#options;
    const late = Promise.withResolvers<void>();
    const cancel = clock.after(config.server.graceMs + this.#times.stopMs, () => late.resolve());
    const stopped = this.serving.map(async (worker) => {
      worker.numbers = await worker.call('stop', undefined);
    });
    await Promise.race([Promise.allSettled(stopped), late.promise]);
    cancel();
    await this.end();
  }

  /** At once. */
  async end(): Promise<void> {
    this.#rest();
    await Promise.all([...this.#all].map((worker) => worker.end()));
  }

  #rest(): void {
    this.#stopping = true;
    this.#cancelWatch();
    for (const cancel of this.#waits) cancel();
    this.#waits.clear();
  }

  /** `soon`: times in a row that a worker of this place ended soon after its start. */
  async #add(place: number, soon: number): Promise<readonly BoundListener[]> {
    const { log, onFetching = () => undefined } = this.#options;
    const worker = new WorkerThread({ start: this.#startOf(place), onLines: log.pass, onFetching });
    this.#all.add(worker);
    const served = worker.listening.then((listeners) => {
      this.#serving.set(place, worker);
      return listeners;
    });
    void this.#outlive(worker, soon);
    return served;
  }

  async #outlive(worker: WorkerThread, soon: number): Promise<void> {
    const { clock, onGone } = this.#options;
    const startedMs = clock.monotonicMs();
    const end = await worker.ended;
    this.#all.delete(worker);
    const hasServed = this.#serving.get(worker.place) === worker;
    if (hasServed) this.#serving.delete(worker.place);
    onGone(worker);
    // That one of the first could not start is told by `start`.
    if (this.#stopping || (!hasServed && !this.#isStarted)) return;
    const isSound = clock.monotonicMs() - startedMs >= this.#times.soundMs;
    this.#again(worker, isSound ? 1 : soon + 1, end);
  }

  #again({ place, isStuck }: WorkerThread, soon: number, { error }: WorkerEnd): void {
    const { log, clock } = this.#options;
    const { pauseMs, longestPauseMs } = this.#times;
    // 2^20 pauses are longer than the longest, and a number all the same.
    const againMs = Math.min(longestPauseMs, pauseMs * 2 ** Math.min(soon - 1, 20));
    this.restarts[isStuck ? 'stuck' : 'ended'] += 1;
    const why = isStuck ? 'it was stuck' : error && describe(error);
    log.error({ worker: place, againMs, why }, 'a worker has ended and is started again');
    const cancel = clock.after(againMs, () => {
      this.#waits.delete(cancel);
      // Its end is heard of as well, from where it is tried again.
      this.#add(place, soon).catch((failed: unknown) => {
        log.error({ worker: place, error: describe(failed) }, 'a worker could not start');
      });
    });
    this.#waits.add(cancel);
  }

  #startOf(place: number): WorkerStart {
    const { config, count, wire, bounds } = this.#options;
    const share = shareOf(config, place - 1, count);
    const { server } = share;
    const listeners = server.listeners.map((listener) => {
      const bound = this.#listeners.find(({ name }) => name === listener.name);
      return { ...listener, port: bound?.port ?? listener.port, shared: true };
    });
    // The coordinator waits out the delay for all.
    const own = { ...share, server: { ...server, listeners, drainDelayMs: 0 } };
    return { config: own, place, wire, bounds, processMark: this.processMark };
  }

  #watch(): void {
    const { clock } = this.#options;
    const everyMs = this.#times.stuckMs / LOOKS;
    const look = (): void => {
      for (const worker of this.#serving.values()) {
        worker.silentLooks += 1;
        if (worker.silentLooks <= LOOKS) continue;
        worker.isStuck = true;
        void worker.end();
      }
      this.#cancelWatch = clock.after(everyMs, look);
    };
    this.#cancelWatch = clock.after(everyMs, look);
  }
}
