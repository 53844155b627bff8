import { loopDetected } from '../core/via.ts';
import type { FillDeps } from './fill-types.ts';
import { ownProblem } from './own-answers.ts';
import type { ProxyResponse } from './ports.ts';
import type { Ask } from './respond.ts';

/** The answer to a request that its own route has sent upstream, so that nothing but itself could answer it; `undefined` to any other. */
export function cameBack(
  { loops, observer }: Pick<FillDeps, 'loops' | 'observer'>,
  ask: Ask,
): ProxyResponse | undefined {
  const { route, requestFields: fields, special } = ask;
  if (loops?.isLoop(route.name, { fields, special }) !== true) return undefined;
  observer.limit('server.limits.maxHops');
  return ownProblem(ask, loopDetected, loopDetected.code);
}
