import { formatCacheStatus } from '../core/cache-status.ts';
import type { Classification } from '../core/classify-request.ts';
import { maskedUrl } from '../core/key.ts';
import { forwardsLeft } from '../core/max-forwards.ts';
import { relayTarget } from '../core/relay-target.ts';
import type { ProxyRequest } from '../core/request.ts';
import type { RouteMatch } from '../core/route-table.ts';
import { hopsOf, loopDetected } from '../core/via.ts';
import { asHandled, type Handled } from './handled.ts';
import { forwardedNoMore, refusal } from './own-answers.ts';
import { followRelayed } from './relay-follow.ts';
import type { RelayFollowDeps } from './relay-store.ts';

type RelayClass = Extract<Classification, { kind: 'relay' }>;

/** What the server is told of a request that it is to relay; or an answer of our own where no target upstream can be made of it, or it may not go on. */
export function relayed(
  deps: RelayFollowDeps,
  match: RouteMatch,
  request: ProxyRequest,
  { fwd, reason }: RelayClass,
): Handled {
  const { route } = match;
  if (forwardsLeft(request.method, request.fields) === 0) return asHandled(forwardedNoMore(request, match));
  if (hopsOf(request.fields) > (deps.maxHops ?? Infinity) || deps.loops?.isLoop(route.name, request) === true) {
    deps.observer.limit('server.limits.maxHops');
    return asHandled(refusal(request, loopDetected, match));
  }
  const target = relayTarget(match, request, { reason, sha256: deps.sha256 });
  if (!target.ok) return asHandled(refusal(request, target.error, match));
  // Before the request goes upstream, as for a fetch: its answer may be stored.
  const position = deps.purgeLog.position();
  return {
    kind: 'relay',
    relay: {
      route,
      target: target.value,
      url: maskedUrl(match, request),
      fwd,
      mark: deps.loops?.own(route.name),
      cacheStatus: formatCacheStatus({ hit: false, fwd }),
      settled: (head) => followRelayed(deps, { match, request, position }, head),
    },
  };
}
