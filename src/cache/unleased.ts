import { decideAbsent, leaseLostProblem } from '../core/reuse-policy.ts';
import type { Fetcher, FetcherDeps } from './fetcher.ts';
import { ownRequestOf } from './own-request.ts';
import { onlyIfCached, ownProblem } from './own-answers.ts';
import type { MaybePromise, ProxyResponse } from './ports.ts';
import type { Ask } from './respond.ts';
import { variantKeyOf } from './store-fill.ts';

type UnleasedDeps = Pick<FetcherDeps, 'observer' | 'unleased' | 'sha256'>;

/** Nothing may be served from store: nobody knows here what has been purged since (invariant 3). */
export function answerUnleased(deps: UnleasedDeps, fetcher: Fetcher, ask: Ask): MaybePromise<ProxyResponse> {
  deps.observer.fleet({ kind: 'refused', reason: 'lease' });
  const decision = decideAbsent(ask.route.policy, ask.requestFields);
  if (decision.kind === 'refuse') return onlyIfCached(ask);
  switch (ask.route.onLeaseLost) {
    case 'error':
      return ownProblem(ask, leaseLostProblem(), 'lease');
    case 'bypass':
    case 'serve-if-upstream-fails':
      return fetcher.fetch({
        ask,
        key: keyUnleased(deps, ask),
        fwd: 'bypass',
        found: undefined,
        validate: false,
        own: ownRequestOf(ask, false),
        unleased: true,
      });
  }
}

/** What is known of how upstream varies is no stored response: those who want one variant may wait for one call. */
function keyUnleased({ unleased, sha256 }: UnleasedDeps, ask: Ask): string {
  const marker = unleased?.peekUnleased(ask.keyed.key)?.item;
  return marker?.kind === 'vary' ? variantKeyOf(sha256, ask, marker) : ask.keyed.key;
}
