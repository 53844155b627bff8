import { forwardedFields } from '../core/forwarded-fields.ts';
import { validationFields } from '../core/freshen.ts';
import type { CanonicalRequest } from '../core/request.ts';
import type { FillDeps, FillInput } from './fill-types.ts';
import type { UpstreamAnswer } from './upstream-ports.ts';

/** One call, told to the observer. Never throws for anything that upstream does. */
export async function callUpstream(deps: FillDeps, input: FillInput, signal: AbortSignal): Promise<UpstreamAnswer> {
  const startedMs = deps.clock.monotonicMs();
  const canonical = requestOf(input);
  const honours = input.route.policy.upstreamCacheControl === 'honour';
  const answer = await deps.upstream.fetch(
    {
      canonical,
      fields: [
        ...forwardedFields(input.route, input.requestFields),
        ...(input.validate === undefined ? [] : validationFields(input.validate)),
        ...(input.own?.conditions ?? []),
      ],
      // Ruled routes store one identity form; honour routes keep upstream's bytes as they are (RFC 9111 §3.1).
      decode: !honours,
      purpose: input.purpose,
      onInterim: input.onInterim,
    },
    signal,
  );
  // A call that never got a connection is none that upstream saw.
  if (answer.attempts === 0) return answer;
  deps.observer.upstreamCall({
    upstream: canonical.upstream,
    route: input.route.name,
    purpose: input.purpose,
    status: answer.kind === 'response' ? answer.status : undefined,
    failure: answer.kind === 'failure' ? answer.failure : undefined,
    durationMs: deps.clock.monotonicMs() - startedMs,
    attempts: answer.attempts,
    url: input.keyed.url,
    reason: answer.kind === 'failure' ? answer.detail : undefined,
  });
  return answer;
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
