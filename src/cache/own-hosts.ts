import type { ProxyRequest } from '../core/request.ts';
import type { RouteMatch } from '../core/route-table.ts';

/** An absolute-form target names a host that some route answers for, or the proxy itself; nothing else is ours. */
export function isMeantForUs(ownHosts: ReadonlySet<string>, match: RouteMatch, request: ProxyRequest): boolean {
  if (!request.absolute || match.route.host !== undefined) return true;
  return isLoopbackName(request.host) || ownHosts.has(request.host);
}

function isLoopbackName(host: string): boolean {
  return host === 'localhost' || host === '[::1]' || host.startsWith('127.');
}
