import type { FieldLines } from '../core/fields.ts';
import { forwardedFields } from '../core/forwarded-fields.ts';
import { validationFields } from '../core/freshen.ts';
import { hasMarks } from '../core/loop-marks.ts';
import type { CanonicalRequest } from '../core/request.ts';
import { loopDetected } from '../core/via.ts';
import type { FillDeps, FillInput } from './fill-types.ts';
import type { MaybePromise } from './ports.ts';
import type { UpstreamAnswer } from './upstream-ports.ts';

/**
 * One call, told to the observer. Never rejects for anything that upstream does. `then` is called in the step in which the answer
 * is there: a promise in between is paid with every miss.
 */
export function callUpstream<T>(
  deps: FillDeps,
  input: FillInput,
  signal: AbortSignal,
  then: (answer: UpstreamAnswer) => MaybePromise<T>,
): Promise<T> {
  const startedMs = deps.clock.monotonicMs();
  const canonical = requestOf(input);
  const { validate, own, purpose, onInterim, isWanted, whenGone } = input;
  const forwarded = forwardedFields(input.route, input.requestFields);
  const isPlain = validate === undefined && own === undefined;
  const fields = isPlain
    ? forwarded
    : [...forwarded, ...(validate === undefined ? [] : validationFields(validate)), ...(own?.conditions ?? [])];
  // Ruled routes store one identity form; honour routes keep upstream's bytes as they are (RFC 9111 §3.1).
  const decode = input.route.policy.upstreamCacheControl !== 'honour';
  const marks = deps.loops?.sent(input.route.name, passedOn(input));
  const call = { canonical, fields, marks, decode, purpose, onInterim, isWanted, whenGone };
  return deps.upstream.fetch(call, signal).then((answer) => {
    // Where no connection was free for it, it was not even tried to call.
    if (answer.attempts > 0) tell(deps, input, answer, startedMs);
    return then(answer);
  });
}

/** A refresh is waited for by nobody: that it was begun by one request or another does not make it part of that one's way. */
function passedOn({ purpose, requestFields }: FillInput): FieldLines {
  return purpose === 'interactive' ? requestFields : noFields;
}

const noFields: FieldLines = [];

/**
 * Whether the answer may be about the way of this one request: it has told upstream whom it had passed, and a client can say
 * anything of that. Who waits for it too goes himself, and nobody gets it later.
 */
export function isOfItsWay(input: FillInput, status: number): boolean {
  return status === loopDetected.status && hasMarks(passedOn(input));
}

function tell(deps: FillDeps, input: FillInput, answer: UpstreamAnswer, startedMs: number): void {
  const { observer, clock, retryTimes } = deps;
  const isFailure = answer.kind === 'failure';
  const retryAfterMs = isFailure ? undefined : retryTimes?.learn(input, answer);
  observer.upstreamCall({
    upstream: input.keyed.canonical.upstream,
    route: input.route.name,
    purpose: input.purpose,
    status: isFailure ? undefined : answer.status,
    failure: isFailure ? answer.failure : undefined,
    durationMs: clock.monotonicMs() - startedMs,
    attempts: answer.attempts,
    unsent: isFailure ? answer.unsent : undefined,
    url: input.keyed.url,
    reason: isFailure ? answer.detail : undefined,
    clientGone: isFailure ? answer.clientGone : undefined,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}

function requestOf({ keyed, own }: FillInput): CanonicalRequest {
  return own === undefined ? keyed.canonical : { ...keyed.canonical, method: own.method };
}

/**
 * Answers to a condition or a range (RFC 9110 §15.3.7, §15.4.5, §15.5.17) that nobody sent: the proxy's own validation
 * apart, only a client's own request has any.
 */
export function isUnasked(status: number, { own }: FillInput): boolean {
  const sent = (...names: readonly string[]): boolean =>
    own !== undefined && own.conditions.some(([name]) => names.includes(name));
  if (status === 304) return !sent('if-none-match', 'if-modified-since');
  return (status === 206 || status === 416) && !sent('range');
}
