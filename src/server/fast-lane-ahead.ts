import type { ServerResponse } from 'node:http';

import type { ClientLink, Handled, LateAnswer } from '../cache/handled.ts';
import type { LateHearer } from '../cache/later.ts';
import type { Clock, MaybePromise } from '../cache/ports.ts';
import type { ServerConfig } from '../core/config.ts';
import type { FieldLines } from '../core/fields.ts';
import type { ProxyRequest } from '../core/request.ts';
import type { Tail } from './fast-lane-tails.ts';
import { TARGET_AT } from './fast-lane-targets.ts';
import type { Waiter } from './fast-lane-held.ts';
import { InterimLink } from './interim.ts';
import { withRead, withTarget } from './read-request.ts';

/** A request that the exchange was given before the parser is, which is to tell of it in the same step. */
export interface Ahead {
  readonly target: string;
  readonly request: ProxyRequest;
  readonly client: LateLink;
  readonly startedMs: number;
  /** What it came to, once that is known. */
  handled: MaybePromise<Handled>;
  /** It takes time, and nothing needs the response object until it is there. */
  readonly mayWait: boolean;
  /** The parser has told of it. */
  isTaken: boolean;
}

/**
 * The client of a request of which there is no response object yet. What takes time enough to bring an interim response finds it
 * there.
 */
export class LateLink implements ClientLink, LateAnswer {
  readonly late: LateAnswer | undefined;
  #link: InterimLink | undefined = undefined;
  /** Who has not told the parser of the request yet. */
  holder: Pick<Waiter, 'handOver'> | undefined = undefined;
  /** The answer will be told here, and has not been. */
  isPending = false;
  #hearer: LateHearer<Handled> | undefined = undefined;
  #failure: { readonly error: unknown } | undefined = undefined;
  /** Who hears of the end of its response, of which there is no object yet. Hardly ever is there anyone. */
  #unheard: (() => void)[] | undefined = undefined;
  /** As these, but for who need not be told by the response object. */
  #unheeded: (() => void)[] | undefined = undefined;
  #isGone = false;

  readonly sinceMs: number;

  /** `mayWait`: its answer may be told here. */
  constructor(mayWait: boolean, sinceMs: number) {
    this.sinceMs = sinceMs;
    this.late = mayWait ? this : undefined;
  }

  begin(): Promise<Handled> {
    this.isPending = true;
    return TOLD_LATER;
  }

  /** In the place of who heard before. To be called in the step in which the answer began to be waited for, or before it is there. */
  hear(hearer: LateHearer<Handled>): void {
    this.#hearer = hearer;
  }

  came(handled: Handled): void {
    this.isPending = false;
    this.#hearer?.came(handled);
  }

  failed(error: unknown): void {
    this.#failure = { error };
    this.#hearer?.failed(error);
  }

  /** What is pending, for whoever takes it over. */
  promise(): Promise<Handled> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure.error);
    return new Promise((resolve, reject) => {
      this.hear({ came: resolve, failed: reject });
    });
  }

  bind(res: ServerResponse): void {
    this.#link = new InterimLink(res);
    for (const callback of this.#waiting()) this.#link.whenOver(callback);
  }

  /** There will be no response object: its answer was sent without one, or its client has gone. */
  gone(): void {
    this.#isGone = true;
    for (const callback of this.#waiting()) callback();
  }

  /** What is to be sent is held until that has been done: that is told by the response object alone. */
  get needsResponse(): boolean {
    return this.#unheard !== undefined;
  }

  get isOver(): boolean {
    return this.#link?.isOver ?? this.#isGone;
  }

  whenOver(callback: () => void): void {
    this.holder?.handOver();
    if (this.#link !== undefined) this.#link.whenOver(callback);
    else if (this.#isGone) callback();
    else (this.#unheard ??= []).push(callback);
  }

  whenGone(callback: () => void): void {
    if (this.#link !== undefined) this.#link.whenOver(callback);
    else if (this.#isGone) callback();
    else (this.#unheeded ??= []).push(callback);
  }

  #waiting(): readonly (() => void)[] {
    const [unheard, unheeded] = [this.#unheard, this.#unheeded];
    if (unheard === undefined && unheeded === undefined) return NOBODY;
    this.#unheard = undefined;
    this.#unheeded = undefined;
    return [...(unheard ?? NOBODY), ...(unheeded ?? NOBODY)];
  }

  interim(status: number, fields: FieldLines): void {
    // The response object that it takes comes from the parser.
    this.holder?.handOver();
    this.#link?.interim(status, fields);
  }
}

const NOBODY: readonly (() => void)[] = [];

/** Never settled: whoever waits for such an answer hears of it by its link. */
const TOLD_LATER = new Promise<Handled>(() => {});

/** Lets go of what nobody will send. Never throws. */
export function letGo(handled: MaybePromise<Handled>, onBug: (error: unknown) => void): void {
  if (handled instanceof Promise) handled.then((late) => letGo(late, onBug), onBug);
  else if (handled.kind === 'response' && handled.response.body.kind === 'stream') handled.response.body.cancel();
}

interface Asking {
  readonly config: ServerConfig;
  readonly clock: Clock;
  readonly handle: (request: ProxyRequest, client?: ClientLink) => MaybePromise<Handled>;
  readonly mayWait: boolean;
}

/** Asks for what the head gets, before whose known tail its target ends there. `undefined`: that is for the parser to refuse. */
export function askAhead(
  { config, clock, handle, mayWait }: Asking,
  head: Buffer,
  tail: Tail,
  targetEnd: number,
): Ahead | undefined {
  const startedMs = clock.monotonicMs();
  const known = tail.targets.find(tail.number, head, targetEnd);
  const target = known?.target ?? head.toString('latin1', TARGET_AT, targetEnd);
  const request = known ? withRead(tail.head, known, known) : withTarget(tail.head, target, config.limits);
  if (request === undefined) return undefined;
  const client = new LateLink(mayWait, startedMs);
  const first = handledOr(handle, request, client);
  const { needsResponse } = client;
  // Whoever takes it over at once has nobody else to hear of it.
  const handled = needsResponse && client.isPending ? client.promise() : first;
  const waits = mayWait && handled instanceof Promise && !needsResponse;
  return { target, client, startedMs, request, handled, mayWait: waits, isTaken: false };
}

/** What is thrown is the request's, as where the parser has told of it. */
function handledOr(handle: Asking['handle'], request: ProxyRequest, client: ClientLink): MaybePromise<Handled> {
  try {
    return handle(request, client);
  } catch (error) {
    return Promise.reject(error);
  }
}
