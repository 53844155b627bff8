import type { SearchRule } from '../core/no-vary-search.ts';

/** Where No-Vary-Search is defined, as far as it is. */
export const searchSource = 'No-Vary-Search, draft-ietf-httpbis-no-vary-search';

/** What an upstream has said of the queries of a path, in words. */
export function searchWords({ params, anyOrder }: SearchRule): string {
  const names = [...params.names].map((name) => name.toWellFormed()).join(', ');
  const kept = names === '' ? 'no parameter with a meaning' : `only ${names} with a meaning`;
  const dropped = names === '' ? 'all parameters with a meaning' : `${names} without a meaning`;
  return `${params.kind === 'kept' ? kept : dropped}, the order of parameters ${anyOrder ? 'without' : 'with'} one`;
}
