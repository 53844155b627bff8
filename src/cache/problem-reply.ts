import { problemBody } from '../core/problem-response.ts';
import type { CacheStatus } from '../core/outcome.ts';
import { formatCacheStatus } from '../core/cache-status.ts';
import type { Problem } from '../core/problem.ts';
import type { ProxyResponse, ResponseMeta } from './ports.ts';

/** Where a problem answer belongs, for the record. */
export interface ProblemContext {
  readonly meta: Pick<ResponseMeta, 'route' | 'upstream' | 'url'> & { readonly fwd?: ResponseMeta['fwd'] };
  /** Members of `Cache-Status`; `undefined`: nothing was looked up or forwarded, and the code of the problem says why. */
  readonly cacheStatus: CacheStatus | undefined;
  readonly head: boolean;
}

/** The proxy's own error answer (RFC 9457): `rejected` below 500, `error` from 500 on. */
export function problemReply(problem: Problem, context: ProblemContext): ProxyResponse {
  const { fields, body } = problemBody(problem);
  const status = context.cacheStatus ?? { hit: false, detail: problem.code };
  return {
    status: problem.status,
    fields: [...fields, ['cache-status', formatCacheStatus(status)], ['content-length', String(body.length)]],
    body: context.head ? { kind: 'none' } : { kind: 'bytes', bytes: body },
    meta: {
      outcome: problem.status < 500 ? 'rejected' : 'error',
      route: context.meta.route,
      upstream: context.meta.upstream,
      tier: undefined,
      fwd: context.meta.fwd,
      problem: problem.code,
      url: context.meta.url,
    },
  };
}
