import { withoutTagFields } from '../core/upstream-tags.ts';
import type { Ask } from './respond.ts';
import type { UpstreamCall } from './upstream-ports.ts';

/**
 * Who hears the interim responses (RFC 9110 §15.2) to a call: the client whose request goes upstream, and nobody who waits
 * for it too, since what is said before the final answer is known may be that client's alone. On ruled routes nobody does:
 * the request upstream is the proxy's own there. What names tags for the route is not passed on, as in final answers.
 */
export function interimsFor({ route, client }: Pick<Ask, 'route' | 'client'>): UpstreamCall['onInterim'] {
  if (client === undefined || route.policy.upstreamCacheControl !== 'honour') return undefined;
  return (status, fields) => client.interim(status, withoutTagFields(route, fields));
}
