import type { Problem } from '../../core/problem.ts';

/** What a purge answers that cannot be guaranteed. `retryAfter`: seconds. */
export function notGuaranteed(why: string, retryAfter = 1): Problem {
  return {
    status: 503,
    code: 'purge-not-guaranteed',
    title: 'The purge cannot be guaranteed',
    detail: `It may not hold at every proxy of the fleet; it is safe to repeat. ${why}`,
    retryAfter,
  };
}
