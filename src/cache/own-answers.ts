import { formatCacheStatus, withKey } from '../core/cache-status.ts';
import { maskedUrl } from '../core/key.ts';
import { RELAYED_METHODS } from '../core/methods.ts';
import type { Problem } from '../core/problem.ts';
import type { ProxyRequest } from '../core/request.ts';
import { notStoredProblem } from '../core/reuse-policy.ts';
import type { RouteMatch } from '../core/route-table.ts';
import type { ProxyResponse } from './ports.ts';
import { problemReply } from './problem-reply.ts';
import type { Ask } from './respond.ts';

/** The proxy's own answer to a request that it does not handle. */
export function refusal(request: ProxyRequest, problem: Problem, match?: RouteMatch): ProxyResponse {
  const head = request.method === 'HEAD';
  if (match === undefined) {
    const meta = { route: undefined, upstream: undefined, url: request.path };
    return problemReply(problem, { meta, cacheStatus: undefined, head });
  }
  const meta = { route: match.route.name, upstream: match.route.upstream, url: maskedUrl(match, request) };
  return problemReply(problem, { meta, cacheStatus: undefined, head });
}

/** To an OPTIONS that is to go no further (RFC 9110 §7.6.2, §9.3.7): what can be said of routes here. */
export function forwardedNoMore(request: ProxyRequest, match: RouteMatch): ProxyResponse {
  const { name: route, upstream } = match.route;
  const detail = 'max-forwards';
  const status = formatCacheStatus({ hit: false, detail });
  const url = maskedUrl(match, request);
  return {
    status: 200,
    fields: [
      ['allow', RELAYED_METHODS.join(', ')],
      ['cache-status', status],
      ['content-length', '0'],
    ],
    body: { kind: 'none' },
    meta: { outcome: 'rejected', route, upstream, tier: undefined, fwd: undefined, problem: detail, url },
  };
}

/** To a request that no route governs. */
export function noRoute(): Problem {
  return { status: 404, code: 'route-not-found', title: 'No route', detail: 'No route matches this path and host.' };
}

/** To `only-if-cached` where nothing stored will do (RFC 9111 §5.2.1.7). */
export function onlyIfCached(ask: Ask): ProxyResponse {
  const problem = notStoredProblem();
  return ownProblem(ask, problem, problem.code);
}

/** The proxy's own answer to a request that was looked up. */
export function ownProblem(ask: Ask, problem: Problem, detail: string): ProxyResponse {
  const meta = { route: ask.route.name, upstream: ask.route.upstream, url: ask.keyed.url };
  return problemReply(problem, { meta, cacheStatus: withKey({ hit: false, detail }, ask), head: ask.head });
}
