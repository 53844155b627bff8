import type { CounterLedger, FleetNotices, LedgerReading, LedgerState } from '../cache/fleet-ports.ts';
import type { CountersReset } from '../cache/operations.ts';
import type { Clock } from '../cache/ports.ts';
import { ok, refused, type Problem, type Result } from '../core/problem.ts';
import { FlushState } from './flush-state.ts';
import type { CacheReport, Mark, Reporter } from './report.ts';
import { SharedRun } from './shared-run.ts';
import { totalsOfFields } from './totals.ts';

export interface FleetCountersParts {
  /** Of this process. From here on its base is moved by nobody else. */
  readonly reporter: Reporter;
  readonly ledger: CounterLedger;
  /** The purge log: a reset reaches every process in its order, and waits for them as a purge does. */
  readonly notices: FleetNotices;
  /** On which a question is rung. A lost ring costs a report some of the others' last interval. */
  readonly bell: { onRing(callback: (message: string) => void): void };
  readonly clock: Pick<Clock, 'monotonicMs' | 'after'>;
  /** Milliseconds between two flushes, and so what is lost at most of a process that is killed. */
  readonly everyMs: number;
}

/** The counters of a fleet. Nothing rejects; without Redis it goes on as the counters of this process. */
export interface FleetCounters {
  /** The last reset that is known here, by its place on the clock of Redis; `undefined` before the first contact. */
  readonly root: number | undefined;
  start(): void;
  /** Writes all that was counted, and takes leave; gives up after a second. */
  stop(): Promise<void>;
  /** Of the fleet; of this process where Redis does not answer within a second. */
  report(): Promise<CacheReport>;
  /** For the whole fleet. Refused with a 503 where that is not certain; it may have taken effect then. */
  reset(): Promise<Result<CountersReset>>;
}

export function createFleetCounters(parts: FleetCountersParts): FleetCounters {
  return new LedgerCounters(parts);
}

/** How long a report waits for the others' flushes. */
const askPatienceMs = 150;
/** Between two looks whether they have come. */
const askPauseMs = 10;
/** A report, and the end of the process, wait for Redis at most so long. */
const redisPatienceMs = 1000;
/** Who has not flushed for so many intervals, or this long, is not counted as a member. */
const liveIntervals = 3;
const liveAtLeastMs = 5000;
/** Replies that ask for another flush, one after the other: more say that something else is wrong. */
const maxRounds = 5;
const noticeWord = 'counters-reset:';
const bellWord = 'flush:';

class LedgerCounters implements FleetCounters {
  readonly #parts: FleetCountersParts;
  readonly #startMs: number;
  #flushes = new FlushState();
  #generation = '';
  #root: number | undefined = undefined;
  #sinceMs: number | undefined = undefined;
  /** A reset that was heard of before the first contact: whether it concerns this process, Redis's clock will say. */
  #early: { readonly root: number; readonly mark: Mark } | undefined = undefined;
  #rebuild = false;
  /** The last question that was heard. */
  #heard = 0;
  readonly #flushing = new SharedRun(() => this.#rounds());
  /** One question for all reports that are asked for meanwhile: each makes every process of the fleet flush. */
  readonly #asking = new SharedRun(() => this.#ask());
  #stopped = false;
  #cancel: () => void = () => undefined;

  constructor(parts: FleetCountersParts) {
    this.#parts = parts;
    this.#startMs = parts.clock.monotonicMs();
    parts.notices.onNotice((notice) => this.#hearNotice(notice));
    parts.bell.onRing((message) => this.#hearBell(message));
  }

  get root(): number | undefined {
    return this.#root;
  }

  start(): void {
    void this.#keepFlushing();
  }

  async stop(): Promise<void> {
    this.#cancel();
    if (this.#stopped) return;
    const written = this.#untilWritten();
    this.#stopped = true;
    await this.#withinPatience(written);
  }

  async report(): Promise<CacheReport> {
    const { reporter } = this.#parts;
    const reading = await this.#withinPatience(this.#asking.run());
    if (reading === undefined) return reporter.report();
    const totals = totalsOfFields(reading.counts, reporter.routeNames);
    return reporter.reportOf(totals, { sidecars: this.#live(reading).length, sinceMs: reading.sinceMs });
  }

  async reset(): Promise<Result<CountersReset>> {
    const { ledger, notices } = this.#parts;
    // Any moment within this call will do, for each process its own: the ledger first, since who flushes before it hears
    // of the reset learns of it from the reply, and never adds old counts to new ones.
    const root = await ledger.reset(this.#root ?? 0);
    if (root === undefined) return refused(ledgerAway);
    this.#reset(root);
    const announced = await notices.announce(`${noticeWord}${root}`);
    if (!announced.ok) return announced;
    const { complete, missing } = announced.value;
    // Who is missing drops what it has counted until it hears of it, and adds nothing to the ledger before.
    return complete ? ok({ missing }) : refused(incomplete);
  }

  async #keepFlushing(): Promise<void> {
    await this.#flush();
    if (this.#stopped) return;
    this.#cancel = this.#parts.clock.after(this.#parts.everyMs, () => void this.#keepFlushing());
  }

  #flush(): Promise<boolean> {
    return this.#flushing.run();
  }

  /** True where all that was counted when it began is in the ledger. */
  async #rounds(): Promise<boolean> {
    for (let round = 0; round < maxRounds; round += 1) {
      const answer = await this.#flushOnce();
      if (answer !== 'again') return answer === 'written';
    }
    return false;
  }

  async #flushOnce(): Promise<'written' | 'again' | 'unanswered'> {
    const { ledger, reporter } = this.#parts;
    const flushes = this.#flushes;
    const totals = reporter.totals();
    const heard = this.#heard;
    const flush = flushes.next(totals);
    const state = await ledger.flush({
      ...flush,
      generation: this.#generation,
      root: this.#root ?? 0,
      sinceMs: this.#sinceMs,
      heard: flush.repeated ? 0 : heard,
      rebuild: this.#rebuild,
    });
    if (state === undefined) return 'unanswered';
    // A reset came meanwhile: what was sent is of a generation that is over.
    if (this.#flushes !== flushes) return 'again';
    if (state.generation !== this.#generation) {
      this.#adopt(state);
      return 'again';
    }
    this.#rebuild = false;
    const answer = flushes.answered(flush, state);
    if (answer === 'lost') this.#rebuild = true;
    return answer === 'written' && !flush.repeated ? 'written' : 'again';
  }

  #adopt(state: LedgerState): void {
    if (this.#root === undefined) this.#join(state);
    else if (state.root > this.#root) this.#reset(state.root);
    this.#flushes = new FlushState();
    this.#generation = state.generation;
    this.#sinceMs = state.sinceMs;
    this.#rebuild = false;
  }

  /** First contact. What was counted so far counts, unless there was a reset since the start. */
  #join({ root, nowMs }: LedgerState): void {
    const { clock, reporter } = this.#parts;
    const startedMs = nowMs - (clock.monotonicMs() - this.#startMs);
    this.#root = root;
    if (root > startedMs) reporter.reset(this.#early?.root === root ? this.#early.mark : reporter.mark());
    this.#early = undefined;
  }

  #hearNotice(notice: string): void {
    if (!notice.startsWith(noticeWord)) return;
    const root = Number(notice.slice(noticeWord.length));
    if (Number.isSafeInteger(root)) this.#reset(root);
  }

  /** What was counted until now and not flushed is of the generation that is over. */
  #reset(root: number): void {
    const { reporter } = this.#parts;
    if (this.#root === undefined) {
      if (root > (this.#early?.root ?? 0)) this.#early = { root, mark: reporter.mark() };
      return;
    }
    // Heard of before, by a reply or by the call itself; or older than what is known.
    if (root <= this.#root) return;
    // Before those that hear of the reset ask which it is.
    this.#root = root;
    reporter.reset();
    this.#generation = '';
    this.#flushes = new FlushState();
    this.#sinceMs = undefined;
  }

  #hearBell(message: string): void {
    if (this.#stopped || !message.startsWith(bellWord)) return;
    const question = Number(message.slice(bellWord.length));
    if (!Number.isSafeInteger(question)) return;
    this.#heard = Math.max(this.#heard, question);
    void this.#flush();
  }

  async #ask(): Promise<LedgerReading | undefined> {
    const { ledger, clock } = this.#parts;
    const question = await ledger.ask();
    if (question === undefined) return undefined;
    const startMs = clock.monotonicMs();
    this.#heard = Math.max(this.#heard, question);
    if (!this.#stopped && !(await this.#flush())) return undefined;
    const first = await ledger.read();
    if (first === undefined) return undefined;
    let waiting = this.#live(first)
      .filter((member) => member.heard < question)
      .map(({ id }) => id);
    if (waiting.length === 0) return first;
    while (waiting.length > 0 && clock.monotonicMs() - startMs < askPatienceMs) {
      await this.#pause(askPauseMs);
      const heard = await ledger.heard(waiting);
      if (heard === undefined) return undefined;
      waiting = waiting.filter((_id, place) => (heard[place] ?? 0) < question);
    }
    return ledger.read();
  }

  #live({ members }: LedgerReading): LedgerReading['members'] {
    const liveMs = Math.max(liveAtLeastMs, liveIntervals * this.#parts.everyMs);
    return members.filter((member) => member.idleMs <= liveMs);
  }

  async #untilWritten(): Promise<void> {
    const { ledger, clock } = this.#parts;
    const startMs = clock.monotonicMs();
    while (clock.monotonicMs() - startMs < redisPatienceMs) {
      if (await this.#flush()) {
        await ledger.leave();
        return;
      }
      await this.#pause(askPatienceMs);
    }
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => void this.#parts.clock.after(ms, resolve));
  }

  async #withinPatience<T>(work: Promise<T>): Promise<T | undefined> {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const cancel = this.#parts.clock.after(redisPatienceMs, () => resolve(undefined));
    const result = await Promise.race([work, promise]);
    cancel();
    return result;
  }
}

const ledgerAway: Problem = {
  status: 503,
  code: 'counters-unavailable',
  title: 'Counters not reset',
  detail: 'Redis did not answer, so the counters of the fleet cannot be reset; they may have been all the same.',
  retryAfter: 1,
};

const incomplete: Problem = {
  status: 503,
  code: 'counters-not-reset-everywhere',
  title: 'Counters not reset everywhere',
  detail: 'Not every proxy has acknowledged that the counters were reset; repeat the call.',
  retryAfter: 2,
};
