import { formatCacheStatus } from '../core/cache-status.ts';
import { decideOnFailure } from '../core/failure-policy.ts';
import type { Problem } from '../core/problem.ts';
import {
  decideAbsent,
  decideReuse,
  leaseLostProblem,
  notStoredProblem,
  type ReuseDecision,
} from '../core/reuse-policy.ts';
import { noLease, type OnFailure } from './explain-fallback.ts';
import type { Usable } from './explain-parts.ts';
import type { ExplainedDecision, Explanation } from './operations.ts';
import { ownRequestOf } from './own-request.ts';
import type { Ask } from './respond.ts';

/** What would happen, and the refusal where there is one. */
export interface Decided {
  readonly decision: ExplainedDecision;
  readonly problem: Problem | null;
}

/** The exchange's decision, in words. */
export function decide(ask: Ask, looked: Usable, nowMs: number): Decided {
  const { policy } = ask.route;
  if (looked.read === undefined) {
    const absent = decideAbsent(policy, ask.requestFields, looked.marker === undefined ? 'uri-miss' : 'vary-miss');
    if (absent.kind === 'refuse') return notStored(absent.reason);
    return forwarded('miss', absent.fwd, looked.isLeftAlone ? leftAlone : absent.reason);
  }
  const { item: stored, staleSinceMs } = looked.read;
  const reuse = decideReuse({ stored, staleSinceMs, policy, requestFields: ask.requestFields, nowMs });
  switch (reuse.kind) {
    case 'reuse':
      return { decision: { would: 'hit', fwd: null, reason: reuse.reason }, problem: null };
    case 'reuse-stale': {
      const behind = reuse.revalidate ? '; upstream is asked behind the answer' : '';
      return { decision: { would: 'stale', fwd: null, reason: `${reuse.reason}${behind}` }, problem: null };
    }
    case 'validate':
      return validated(ask, reuse);
    case 'fetch':
      return forwarded('miss', reuse.fwd, reuse.reason);
    case 'refuse':
      return notStored(reuse.reason);
  }
}

/** Not every request that a validation would serve is one. */
function validated(ask: Ask, { fwd, reason }: Extract<ReuseDecision, { kind: 'validate' }>): Decided {
  if (ownRequestOf(ask, true)?.method === 'HEAD') {
    const how = 'upstream is asked by HEAD, without the stored validators (RFC 9111 §4.3.5)';
    return forwarded('miss', fwd, `${reason}; ${how}`);
  }
  if (ask.keyed.canonical.method === 'POST') {
    const how = 'upstream is asked for the whole, since If-None-Match means something else for POST (RFC 9110 §13.1.2)';
    return forwarded('miss', fwd, `${reason}; ${how}`);
  }
  return forwarded('revalidated', fwd, `${reason}; upstream is asked with the stored validators`);
}

/** What is served at once, since upstream would not answer before the timeout. */
export function decideSilent({ route, requestFields }: Ask, { read }: OnFailure, nowMs: number): Decided {
  const found = { stored: read?.item, staleSinceMs: read?.staleSinceMs };
  const { reason } = decideOnFailure({ failure: 'timeout', ...found, policy: route.policy, requestFields, nowMs });
  const text = `${silent}: what is stored is served at once, ${reason}; upstream is asked behind the answer`;
  return { decision: { would: 'stale-error', fwd: null, reason: text }, problem: null };
}

/** The exchange's decision while the lease is lost. */
export function decideUnleased({ route, requestFields }: Ask): Decided {
  const absent = decideAbsent(route.policy, requestFields);
  if (absent.kind === 'refuse') return notStored(absent.reason);
  switch (route.onLeaseLost) {
    case 'error':
      return refusal(leaseLostProblem());
    case 'bypass':
      return forwarded('miss', 'bypass', noLease);
    case 'serve-if-upstream-fails':
      return forwarded('miss', 'bypass', `${noLease}; if upstream fails, what memory holds is served`);
  }
}

const leftAlone = 'Redis is left alone for a while (its breaker is open), so nothing is read from it';
const silent = 'upstream has kept such requests waiting until the timeout less than 30 s ago';

function forwarded(would: 'miss' | 'revalidated', fwd: NonNullable<ExplainedDecision['fwd']>, reason: string): Decided {
  return { decision: { would, fwd, reason }, problem: null };
}

function notStored(reason: string): Decided {
  return { ...refusal(notStoredProblem()), decision: { would: 'error', fwd: null, reason } };
}

/** Below 500 the proxy refuses the request itself; from 500 on it has no answer to give. */
export function refusal(problem: Problem): Decided {
  const would = problem.status < 500 ? 'rejected' : 'error';
  return { decision: { would, fwd: null, reason: problem.detail }, problem };
}

/** Of an OPTIONS that may not be forwarded any more: counted as rejected, and no refusal. */
export const forwardedNoMore: Decided & Pick<Explanation, 'sent'> = {
  decision: {
    would: 'rejected',
    fwd: null,
    reason: 'Max-Forwards is 0, so the proxy answers OPTIONS itself (RFC 9110 §7.6.2)',
  },
  problem: null,
  sent: { status: 200, cacheStatus: formatCacheStatus({ hit: false, detail: 'max-forwards' }) },
};
