import { withSearchScopes } from '../core/no-vary-search.ts';

/** Characters of the name of a URL or tag that stands in the purge log in Redis as it is. */
export const mostLogged = 256;

/** Asked of one URL or tag several times in a row: by each table of purges, and by the index of what is stored. */
const last = { name: '', digest: '' };

/**
 * What a name that is longer than {@link mostLogged} stands as in the log and in the index of what is stored: 132 bits of its
 * SHA-256, which all processes make alike. Two names of one digest would widen a purge, never lose one.
 */
export function shortName(name: string): string {
  if (name.length <= mostLogged) return name;
  if (name !== last.name) {
    // Loaded with the first long name: the start has no use for it.
    const { hash } = process.getBuiltinModule('node:crypto');
    last.digest = hash('sha256', name, 'base64url').slice(0, 22);
    last.name = name;
  }
  return last.digest;
}

/**
 * The scopes as they are written into the log: URLs and tags that are long by their digests, under letters of their own. Clients
 * choose the URLs that their unsafe requests purge, so that entries of whole ones would make the log as large as they like. A digest
 * does not tell the path, so what a URL stands for where rules for queries are known goes with it. To a proxy of before these
 * are no scopes, and it purges everything.
 */
export function scopesForLog(scopes: readonly string[]): readonly string[] {
  if (!scopes.some(isLong)) return scopes;
  return [...new Set(scopes.flatMap((scope) => (isLong(scope) ? withSearchScopes([scope]) : [scope])).map(shortened))];
}

function isLong(scope: string): boolean {
  return scope.length > mostLogged + 2 && (scope.startsWith('u:') || scope.startsWith('t:'));
}

function shortened(scope: string): string {
  if (!isLong(scope)) return scope;
  return `${scope.startsWith('u:') ? 'U' : 'T'}:${shortName(scope.slice(2))}`;
}
