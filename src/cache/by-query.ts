import { isOfRule } from '../core/no-vary-search.ts';
import type { KeyedRequest } from '../core/request.ts';
import type { StoredItem } from '../core/stored-response.ts';
import { baseKeyOf } from '../core/vary.ts';
import { isGoodFor } from './judge.ts';
import type { PurgeLog } from './ports.ts';
import type { Ask } from './respond.ts';

/** The request as keyed by its own query; `undefined` where that is how it is keyed. */
export function withoutRule<T extends { readonly keyed: KeyedRequest }>(ask: T): T | undefined {
  const { search } = ask.keyed;
  return search?.rule === undefined ? undefined : { ...ask, keyed: search.by(undefined) };
}

/** The request as keyed by its own query where the response is stored under that: a purge by the key that is shown takes it. */
export function asStored(ask: Ask, { key }: Pick<StoredItem, 'key'>): Ask {
  const plain = withoutRule(ask);
  return plain?.keyed.key === baseKeyOf(key) ? plain : ask;
}

/**
 * Whether what is stored under the key of a request is for it, on routes whose keys rules for queries may change. What a rule
 * keys was stored for another URL as often as not: a purge of this one counts too, at any read. What brings a rule is under its
 * own query only for those who have not learnt it: to whoever has, what is under the rule's key alone is the latest word.
 *
 * @param second true where nothing was found under the rule's key
 */
export function fitsQuery(
  log: Pick<PurgeLog, 'isValid'>,
  ask: Pick<Ask, 'keyed' | 'route'>,
  item: StoredItem,
  second: boolean,
): boolean {
  if (ask.keyed.search === undefined) return true;
  if (second) return !isOfRule(item);
  return ask.keyed.search.rule === undefined || isGoodFor(log, ask, item.position);
}
