import type { FieldLines } from '../core/fields.ts';
import { storableFields } from '../core/hop-by-hop.ts';
import { locationOnProxy } from '../core/location.ts';
import type { Route } from '../core/route.ts';
import { withoutTagFields } from '../core/upstream-tags.ts';
import type { FillDeps, FillInput } from './fill-types.ts';
import type { UpstreamResponse } from './upstream-ports.ts';

/** On ruled routes nobody's cookies and quota reach an agent, stored or not; honour routes pass on what upstream sent. */
export function passedFields(
  deps: Pick<FillDeps, 'upstreams'>,
  { route }: Pick<FillInput, 'route'>,
  answer: Pick<UpstreamResponse, 'status' | 'fields'>,
): FieldLines {
  const { policy } = route;
  const fields =
    policy.upstreamCacheControl === 'honour' ? answer.fields : storableFields(answer.fields, policy, answer.status);
  return onProxy(deps, route, withoutTagFields(route, fields));
}

/** An agent that follows a redirect stays on the proxy where the path means the same there. */
export function onProxy(deps: Pick<FillDeps, 'upstreams'>, route: Route, fields: FieldLines): FieldLines {
  const upstream = deps.upstreams.get(route.upstream);
  return upstream === undefined ? fields : locationOnProxy(fields, upstream, route);
}
