import type { Sha256 } from './ports.ts';
import { deriveKey, isCutKey } from '../core/key.ts';
import type { Result } from '../core/problem.ts';
import type { KeyedRequest, RequestMemo } from '../core/request.ts';
import type { Route } from '../core/route.ts';
import type { RouteMatch } from '../core/route-table.ts';
import type { KeyableRequest } from './want-content.ts';

/** A GET that is looked up: what it comes to whenever the very same request comes, for one exchange. */
export class Prepared {
  readonly route: Route;
  /** As its head alone keys it. */
  readonly keyed: KeyedRequest;
  readonly #owner: object;

  constructor(owner: object, route: Route, keyed: KeyedRequest) {
    this.#owner = owner;
    this.route = route;
    this.keyed = keyed;
  }

  /** `undefined`: none was made by that owner. */
  static of(memo: RequestMemo | undefined, owner: object): Prepared | undefined {
    const made = memo?.made;
    return made instanceof Prepared && made.#owner === owner ? made : undefined;
  }
}

interface Preparing {
  readonly owner: object;
  readonly sha256: Sha256;
}

/** Keys the request, and leaves that in its memo, where there is one and the request will be keyed so each time. */
export function keyedFor(
  { owner, sha256 }: Preparing,
  match: RouteMatch,
  request: KeyableRequest,
): Result<KeyedRequest> {
  const { memo, method, content, path, query, host } = request;
  const { route, plan } = match;
  // By its content, or by what of its fields the key is made of: those the key would keep alive, as long as it is kept.
  if (memo === undefined || method !== 'GET' || content !== undefined || plan.headers.length > 0)
    return deriveKey(match, request, sha256);
  const keyed = deriveKey(match, { path, query, host, fields: [] }, sha256);
  // That one is cut is counted each time.
  if (!keyed.ok || isCutKey(keyed.value.key, route.maxKeyBytes)) return keyed;
  const most = MAX_MADE_TEXT + 2 * (path.length + (query?.length ?? 0));
  if (textOf(keyed.value) <= most && memo.grow(partBytes(match, keyed.value))) {
    keyed.value.memo = memo;
    memo.made = new Prepared(owner, route, keyed.value);
  }
  return keyed;
}

/**
 * What many parameters and groups of a path take beside the few that are reckoned with any target. Measured on the heap: 1,472 bytes without any, 110 more for each
 * parameter, 160 to 170 for each group.
 */
function partBytes({ groups }: RouteMatch, { values }: KeyedRequest): number {
  return Math.max(0, 110 * (values?.values.length ?? 0) + 170 * groups.size - 400);
}

/**
 * Whoever keeps memos reckons what hangs on one by the length of its target (`server/fast-lane-targets.ts`). Defaults, tags and escapes can
 * make ten times as much of it: that is made each time.
 */
export const MAX_MADE_TEXT = 1536;

/** Characters of all that is made of the key: what goes upstream is about as long as the URL. */
function textOf({ key, url, tags }: KeyedRequest): number {
  let length = key.length + 2 * url.length;
  // A text takes 16 bytes and its place in the list beside its characters.
  for (const tag of tags) length += tag.length + 24;
  return length;
}
