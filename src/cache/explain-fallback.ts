import { failureReasons } from '../core/reasons.ts';
import { readUnleased } from './answer.ts';
import type { CoherenceParts, Usable } from './explain-parts.ts';
import type { Fallback } from './fetch-plan.ts';
import type { Sha256, UnleasedReads } from './ports.ts';
import type { Ask } from './respond.ts';

/** What may be served where upstream fails. */
export interface OnFailure {
  readonly read: Pick<Fallback, 'item' | 'staleSinceMs'> | undefined;
  /** Why, where there is nothing. */
  readonly absent: string;
}

interface FallbackParts extends CoherenceParts {
  readonly sha256: Sha256;
  readonly unleased?: UnleasedReads;
}

export const noLease = 'no lease on the purge log, so nothing is served from store';

/** As the fetcher would look for it. */
export function fallbackOf(parts: FallbackParts, ask: Ask, { read }: Pick<Usable, 'read'>): OnFailure {
  if (parts.coherence?.status().leased !== false) return { read, absent: failureReasons.nothing };
  if (ask.route.onLeaseLost !== 'serve-if-upstream-fails') return { read: undefined, absent: noLease };
  return { read: readUnleased(parts, ask), absent: 'memory holds nothing of it' };
}
