import { forwardedFields } from '../core/forwarded-fields.ts';
import { confirms, freshenStored } from '../core/freshen.ts';
import type { StoredResponse } from '../core/stored-response.ts';
import { variantKey } from '../core/vary.ts';
import type { FillDeps, FillInput, FillResult } from './fill-types.ts';
import type { Sha256 } from './ports.ts';
import type { UpstreamResponse } from './upstream-ports.ts';

/** Names that the variants of one key are told apart by at most; an upstream that names more is followed from anew. */
const MAX_VARY_NAMES = 16;

/** How a response came to be stored. */
export interface StoreFacts {
  readonly vary: readonly string[];
  readonly fwdStatus: number;
  readonly validated: boolean;
}

/** The key of the variant that these request fields select (RFC 9111 §4.1): what upstream saw counts, no more. */
export function variantKeyOf(
  sha256: Sha256,
  input: Pick<FillInput, 'route' | 'keyed' | 'requestFields'>,
  names: readonly string[],
): string {
  const sent = [...input.keyed.canonical.fields, ...forwardedFields(input.route, input.requestFields)];
  return variantKey(input.keyed.key, names, sent, sha256);
}

/** Puts a response under its key, and where upstream varies the marker that leads to it, in this order. Nothing is stored without a position. */
export async function storeResponse(
  deps: FillDeps,
  input: FillInput,
  response: StoredResponse,
  facts: StoreFacts,
): Promise<FillResult> {
  const { keyed } = input;
  const { fwdStatus, validated } = facts;
  const leased = input.position !== undefined;
  const names = leased ? await varyNamesFor(deps, input, facts.vary) : facts.vary;
  const key = names.length === 0 ? keyed.key : variantKeyOf(deps.sha256, input, names);
  const item = { ...response, key };
  if (!leased) {
    deps.observer.storage(item.route, 'no-lease');
    return { kind: 'stored', item, fwdStatus, validated, put: 'no-lease', names };
  }
  const put = await deps.store.put(item);
  if (names.length > 0) {
    await deps.store.put({
      kind: 'vary',
      key: keyed.key,
      route: item.route,
      upstream: item.upstream,
      url: item.url,
      tags: item.tags,
      position: item.position,
      names,
      retainUntilMs: item.freshness.retainUntilMs,
    });
  }
  deps.observer.storage(item.route, put);
  return { kind: 'stored', item, fwdStatus, validated, put, names };
}

/**
 * The names that all variants of a key are told apart by: those of this response and those known already. Answers that
 * name different fields in turn would else hide each other's variants behind the last one's marker.
 */
async function varyNamesFor(
  deps: FillDeps,
  input: Pick<FillInput, 'route' | 'keyed'>,
  vary: readonly string[],
): Promise<readonly string[]> {
  if (vary.length === 0) return [];
  const marker = (await deps.store.peek(input.keyed.key, input))?.item;
  if (marker?.kind !== 'vary') return vary;
  const union = [...new Set([...marker.names, ...vary])].toSorted();
  return union.length > MAX_VARY_NAMES ? vary : union;
}

/**
 * RFC 9111 §4.3.4: the stored response lives on with the 304's fields, under a position taken before the validation.
 * `undefined` where the 304 is about another representation than the stored one, which then goes, or where a purge came
 * meanwhile: the whole has to be fetched.
 */
export async function freshen(
  deps: FillDeps,
  input: FillInput & { readonly validate: StoredResponse },
  answer: UpstreamResponse,
): Promise<FillResult | undefined> {
  answer.body.cancel();
  const stored = input.validate;
  if (!confirms(stored, answer.fields)) {
    await deps.store.invalidate(stored.key);
    return undefined;
  }
  const { response, storage } = freshenStored({
    stored,
    route: input.route,
    requestFields: input.requestFields,
    keyed: input.keyed,
    fields: answer.fields,
    requestTimeMs: answer.requestTimeMs,
    responseTimeMs: answer.responseTimeMs,
  });
  const item: StoredResponse = { ...response, tags: input.keyed.tags, position: input.position ?? stored.position };
  // The 304 took away the right to keep it: it answers the request that asked, and nobody after it.
  if (storage.kind === 'pass') await deps.store.invalidate(stored.key);
  if (storage.kind === 'pass' || input.position === undefined || !input.mayStore) {
    return { kind: 'stored', item, fwdStatus: 304, validated: true, put: 'purged', names: undefined };
  }
  const result = await storeResponse(deps, input, item, { vary: storage.vary, fwdStatus: 304, validated: true });
  // Purged while it was validated: what is stored is from before the purge and serves nobody, the asker included.
  return result.kind === 'stored' && result.put === 'purged' ? undefined : result;
}
