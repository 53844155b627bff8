import type { FieldLines } from '../core/fields.ts';
import { forwardedFields } from '../core/forwarded-fields.ts';
import { confirms, freshenStored } from '../core/freshen.ts';
import type { StorageDecision } from '../core/storage-policy.ts';
import type { Position, StoredResponse, VaryMarker } from '../core/stored-response.ts';
import { languagesWith, variantKey, type VariantRules } from '../core/vary.ts';
import type { FillDeps, FillInput, FillResult } from './fill-types.ts';
import type { MaybePromise, PutOutcome, Sha256 } from './ports.ts';
import { retagged } from './tagged.ts';
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
  rules: VariantRules,
): string {
  return variantKey(input.keyed.key, rules, sentFields(input), sha256);
}

/** What upstream is told of a request beside its target. */
export function sentFields(input: Pick<FillInput, 'route' | 'keyed' | 'requestFields'>): FieldLines {
  return [...input.keyed.canonical.fields, ...forwardedFields(input.route, input.requestFields)];
}

/**
 * Puts a response under its key, and where upstream varies the marker that leads to it, in this order. What it says of the
 * queries of its path counts for its own key already. Nothing is stored without a position.
 */
export function storeResponse(
  deps: FillDeps,
  input: FillInput,
  response: StoredResponse,
  facts: StoreFacts,
): MaybePromise<FillResult> {
  const { search } = deps;
  search?.learn(input.keyed, response);
  const keyed = search?.statedBy(input.keyed, response) ?? input.keyed;
  // Who has not learnt the rule looks under the whole query. What he finds there teaches him.
  const isTaught = keyed.search?.rule !== undefined && input.keyed.search?.rule === undefined;
  if (isTaught && input.position !== undefined)
    return storeTwice(deps, { ...input, keyed }, input, { response, facts });
  return putUnderKey(deps, keyed === input.keyed ? input : { ...input, keyed }, response, facts);
}

/** Under its rule for queries, and under the whole query. */
async function storeTwice(
  deps: FillDeps,
  ruled: FillInput,
  plain: FillInput,
  { response, facts }: { readonly response: StoredResponse; readonly facts: StoreFacts },
): Promise<FillResult> {
  const result = await putUnderKey(deps, ruled, response, facts);
  await putUnderKey(deps, plain, response, facts);
  return result;
}

/** Where upstream does not vary there is nothing to find out about its variants, and nothing to wait for but the store. */
function putUnderKey(
  deps: FillDeps,
  input: FillInput,
  response: StoredResponse,
  facts: StoreFacts,
): MaybePromise<FillResult> {
  const { position } = input;
  const selects = facts.vary.length > 0 || selectsVariant(input);
  return position !== undefined && selects
    ? putVariant(deps, { ...input, position }, response, facts)
    : putAlone(deps, input, response, facts);
}

/**
 * What names no field would be selected by every request (RFC 9111 §4.1), and hide the variants that are stored: where a request was
 * told apart from these by its fields, so is its answer. Some resources leave Vary out of what they say to who asks for nothing
 * in particular.
 */
function selectsVariant({ route, isVariant }: Pick<FillInput, 'route' | 'isVariant'>): boolean {
  return isVariant === true && route.policy.upstreamCacheControl === 'honour';
}

function putAlone(
  deps: FillDeps,
  input: FillInput,
  response: StoredResponse,
  facts: StoreFacts,
): MaybePromise<FillResult> {
  const { keyed, position } = input;
  const names = facts.vary;
  // Its own, whatever other variant would do for the request.
  const key = names.length === 0 ? keyed.key : variantKeyOf(deps.sha256, input, { names });
  const item = keyedAs(response, key, keyed.url);
  const { fwdStatus, validated } = facts;
  if (position === undefined) {
    deps.observer.storage(item.route, 'no-lease');
    return { kind: 'stored', item, fwdStatus, validated, put: 'no-lease', names };
  }
  const told = (put: PutOutcome): MaybePromise<FillResult> => {
    // Upstream proved to vary while this was fetched.
    const isOther = put === 'outdated' && selectsVariant({ route: input.route, isVariant: input.isVariant !== true });
    if (isOther) return putVariant(deps, { ...input, position, isVariant: true }, response, facts);
    deps.observer.storage(item.route, put);
    return { kind: 'stored', item, fwdStatus, validated, put, names };
  };
  const put = deps.store.put(item);
  return put instanceof Promise ? put.then(told) : told(put);
}

async function putVariant(
  deps: FillDeps,
  input: FillInput & { readonly position: Position },
  response: StoredResponse,
  facts: StoreFacts,
): Promise<FillResult> {
  const { keyed } = input;
  const { vary, fwdStatus, validated } = facts;
  const marker = (await deps.store.peek(keyed.key, input))?.item;
  const known = marker?.kind === 'vary' ? marker : undefined;
  // The variants that it was told apart from are gone.
  if (vary.length === 0 && known === undefined) return putAlone(deps, input, response, facts);
  const rules = variantRules(known, input, response, vary);
  const item = keyedAs(response, variantKeyOf(deps.sha256, input, { names: rules.names }), keyed.url);
  const put = await deps.store.put(item);
  await deps.store.put({
    kind: 'vary',
    key: keyed.key,
    route: item.route,
    upstream: item.upstream,
    url: item.url,
    // A marker only leads to what is judged by its own tags. With those of one variant it would go by them, and hide the others.
    tags: keyed.tags,
    position: item.position,
    ...rules,
    // Upstream may have ceased to vary: that it did is forgotten with the last answer that said so.
    retainUntilMs: vary.length === 0 && known !== undefined ? known.retainUntilMs : item.freshness.retainUntilMs,
  });
  deps.observer.storage(item.route, put);
  return { kind: 'stored', item, fwdStatus, validated, put, ...rules };
}

/** What a 304 has freshened may have been stored for another URL that the rule of then made one with this. */
function keyedAs(response: StoredResponse, key: string, url: string): StoredResponse {
  return response.key === key && response.url === url ? response : { ...response, key, url };
}

/**
 * What all variants of a key are told apart by: the names of this response and those known already. Answers that name
 * different fields in turn would else hide each other's variants behind the last one's marker.
 */
function variantRules(
  known: VaryMarker | undefined,
  input: Pick<FillInput, 'route' | 'keyed' | 'requestFields'>,
  response: StoredResponse,
  vary: readonly string[],
): VariantRules {
  const union = [...new Set([...(known?.names ?? []), ...vary])].toSorted();
  // An answer without Vary names nothing to follow from.
  const names = union.length > MAX_VARY_NAMES && vary.length > 0 ? vary : union;
  // By other names all have other keys, so nothing is found by its language any more.
  const isAsBefore = known !== undefined && known.names.join(',') === names.join(',');
  const languages = languagesWith(isAsBefore ? known.languages : undefined, names, response, sentFields(input));
  return languages === undefined ? { names } : { names, languages };
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
  const { response, storage, ends } = freshenStored({
    stored,
    route: input.route,
    requestFields: input.requestFields,
    keyed: input.keyed,
    fields: answer.fields,
    requestTimeMs: answer.requestTimeMs,
    responseTimeMs: answer.responseTimeMs,
  });
  const { response: freshened, cut } = retagged(deps, input, response, answer.fields);
  const item: StoredResponse = { ...freshened, position: input.position ?? stored.position };
  if (ends || cut) await deps.store.invalidate(stored.key);
  const kept = keptOf(deps, input, storage, cut);
  if (kept.kind === 'pass') {
    return {
      kind: 'stored',
      item,
      fwdStatus: 304,
      validated: true,
      put: 'purged',
      names: undefined,
      unshared: kept.unshared,
    };
  }
  const result = await storeResponse(deps, input, item, { vary: kept.vary, fwdStatus: 304, validated: true });
  // Purged while it was validated: what is stored is from before the purge and serves nobody, the asker included.
  return result.kind === 'stored' && result.put === 'purged' ? undefined : result;
}

/** Whether what a 304 has freshened is stored. What it takes away the right to keep is for the one who asked alone. */
function keptOf(
  { observer }: Pick<FillDeps, 'observer'>,
  { route, position, mayStore }: FillInput,
  storage: StorageDecision,
  cut: boolean,
): Extract<StorageDecision, { kind: 'store' }> | { readonly kind: 'pass'; readonly unshared: boolean } {
  const reason = storage.kind === 'pass' ? storage.reason : cut ? 'tags' : undefined;
  if (reason !== undefined) observer.storage(route.name, reason);
  // On ruled routes what upstream says counts for nothing but its tags, and the answer is the same for all.
  const unshared = cut || (reason !== undefined && route.policy.upstreamCacheControl !== 'ignore');
  if (storage.kind === 'pass' || cut || position === undefined || !mayStore) return { kind: 'pass', unshared };
  return storage;
}
