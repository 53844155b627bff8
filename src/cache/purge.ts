import type { PurgeSelector } from '../core/config.ts';
import { ok, refused, type Result } from '../core/problem.ts';
import { scopesOfSelector } from '../core/purge-scopes.ts';
import { routeByName, type RouteTable } from '../core/route-table.ts';
import { scopesOfUrl, unknownRoute } from './locate.ts';
import { createLimiter } from './limiter.ts';
import type { PurgeAnswer, PurgeCommand } from './operations.ts';
import type { Clock, Observer, PurgeCounter, PurgeLog, PurgeReceipt, Sha256 } from './ports.ts';

export interface PurgerParts {
  readonly table: RouteTable;
  readonly purgeLog: PurgeLog;
  readonly counter: PurgeCounter;
  readonly observer: Pick<Observer, 'purge' | 'fleet'>;
  readonly clock: Clock;
  readonly sha256: Sha256;
}

export interface Purger {
  /**
   * Purges, or only counts, what the selector covers. Refused with a 400 where the selector cannot be meant: a route
   * that is not configured, a URL that no route governs; with a 503 where it cannot be guaranteed.
   */
  purge(command: PurgeCommand): Promise<Result<PurgeAnswer>>;
}

export function createPurger(parts: PurgerParts): Purger {
  const oneAtATime = createLimiter(1);

  /**
   * Counts and begins the append with nothing in between, one purge after another: two purges of the same tag at
   * once do not both count it, and what is stored after the count but before the append cannot slip in uncounted.
   * Only the append's beginning is serialised, so a slow log does not hold up other purges.
   */
  async function countAndAppend(scopes: readonly string[], soft: boolean): Promise<Counted> {
    const { matched, receipt } = await oneAtATime(async () => {
      const held = await parts.counter.count(scopes);
      return { matched: held, receipt: parts.purgeLog.append({ scopes, soft }) };
    });
    return { matched, receipt: await receipt };
  }

  async function purge(command: PurgeCommand): Promise<Result<PurgeAnswer>> {
    const startMs = parts.clock.monotonicMs();
    const { selector, soft, dryRun, source } = command;
    const scopes = scopesFor(selector);
    if (!scopes.ok) return scopes;
    if (dryRun) {
      const matched = await parts.counter.count(scopes.value);
      return ok({ id: 'dry-run', complete: true, sidecars: [], missing: [], matched, dryRun, soft });
    }
    const { matched, receipt } = await countAndAppend(scopes.value, soft);
    if (!receipt.ok) {
      parts.observer.fleet({ kind: 'purge-refused', code: receipt.error.code, source });
      return receipt;
    }
    const { id, complete, missing } = receipt.value;
    const durationMs = parts.clock.monotonicMs() - startMs;
    const what = whatOf(command, scopes.value, matched);
    const covered = { by: selector.by, what, soft, matched };
    parts.observer.purge({ id, ...covered, durationMs, source, complete, missing });
    return ok({ ...receipt.value, matched, dryRun, soft });
  }

  function scopesFor(selector: PurgeSelector): Result<readonly string[]> {
    if (selector.by === 'route' && routeByName(parts.table, selector.route) === undefined) {
      return refused(unknownRoute(parts.table, selector.route));
    }
    return scopesOfSelector(selector, (url) => scopesOfUrl(parts.table, url, parts.sha256));
  }

  return { purge };
}

interface Counted {
  readonly matched: number;
  readonly receipt: Result<PurgeReceipt>;
}

/**
 * The selector for the log, which escapes and cuts it. Of a URL it is the canonical ones, in which secrets are digests.
 * A tag, key or prefix that is stored has none in it either; what covers nothing may be whatever somebody pasted, so it
 * is masked, but for what a configuration says.
 */
function whatOf({ selector, source }: PurgeCommand, scopes: readonly string[], matched: number): string {
  const known = matched > 0 || source === 'schedule';
  switch (selector.by) {
    case 'all':
      return 'all';
    case 'route':
      return selector.route;
    case 'url':
      return urlsIn(scopes).join(' ');
    case 'key':
      return known ? selector.key : mask;
    case 'tags':
      return selector.tags.map((tag) => (known ? tag : tag.replace(/[^:]*$/su, mask))).join(' ');
    case 'prefix':
      return known ? selector.prefix : mask;
  }
}

function urlsIn(scopes: readonly string[]): readonly string[] {
  return scopes.filter((scope) => scope.startsWith('u:')).map((scope) => scope.slice('u:'.length));
}

const mask = '***';
