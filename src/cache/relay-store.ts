import { withoutAnyAccept } from '../core/any-accept.ts';
import { fieldLineValues, fieldValue, type FieldLines } from '../core/fields.ts';
import { forwardedFields, isPutOn } from '../core/forwarded-fields.ts';
import { endToEnd } from '../core/hop-by-hop.ts';
import { plainFields } from '../core/plain-fields.ts';
import { deriveKey, withQuery } from '../core/key.ts';
import { decidePostStorage, type StorageDecision } from '../core/storage-policy.ts';
import type { Position, StoredResponse } from '../core/stored-response.ts';
import { resolveReference } from '../core/uri-reference.ts';
import { ByteCollector } from './byte-collector.ts';
import { buildStored, refusalOf } from './fill.ts';
import type { FillDeps, FillInput } from './fill-types.ts';
import type { RelayedHead, RelayTap } from './handled.ts';
import type { InvalidateDeps } from './invalidate.ts';
import type { Departed } from './judge.ts';
import { isOfUpstream, isSameOrigin, type Relayed, sentTarget } from './named-places.ts';
import type { Background } from './ports.ts';
import { storeResponse } from './store-fill.ts';
import { hasCutTags } from './tagged.ts';

/** What follows a relayed answer needs from outside. */
export interface RelayFollowDeps extends Omit<FillDeps, 'store' | 'purgeLog'>, InvalidateDeps {
  readonly background: Background;
  /** `store.redis.purgeWait`: an answer is held back for its invalidation this long, at most. Milliseconds; absent without Redis. */
  readonly purgeWaitMs?: number;
  /** `server.limits.maxHops`; absent: any number. */
  readonly maxHops?: number;
}

/** A relayed request that went upstream; without a position nothing of its answer is stored. */
export interface DepartedRelay extends Relayed, Departed {}

/** The answer to a relayed POST that may be stored for GETs of the same URL, once it is whole. */
export interface Keepable {
  readonly input: FillInput;
  readonly head: RelayedHead;
  readonly decision: Extract<StorageDecision, { kind: 'store' }>;
}

/** Fields that every client sends of itself, and those about its content: no sign that the answer is for it alone. */
const plain: ReadonlySet<string> = new Set([
  'accept',
  'accept-encoding',
  'accept-language',
  'content-encoding',
  'content-length',
  'content-type',
  'expect',
  'host',
  'user-agent',
]);

/**
 * Whether the answer may be stored (RFC 9110 §9.3.3): of a POST, with a Content-Location that says that it is what a GET of
 * the same URL would get, and explicit freshness. Not where upstream saw what no GET of this route would show it: a cookie,
 * a field that can change the method or path for some servers, or another value of what the answer varies by.
 */
export function keepable(deps: RelayFollowDeps, departed: DepartedRelay, head: RelayedHead): Keepable | undefined {
  const { match, request, position } = departed;
  const { route } = match;
  const { policy } = route;
  if (request.method !== 'POST' || position === undefined || policy.upstreamCacheControl !== 'honour') return undefined;
  const keyed = deriveKey(match, request, deps.sha256);
  if (!keyed.ok || !isOfTarget(deps, departed, { fields: head.fields, get: keyed.value.canonical.target }))
    return undefined;
  const input = { route, keyed: keyed.value, requestFields: request.fields, position, mayStore: true } as const;
  const decision = decidePostStorage({ ...head, ...input }, true);
  if (decision.kind === 'pass') {
    deps.observer.storage(route.name, decision.reason);
    return undefined;
  }
  if (tellsMore(input, decision.vary)) return undefined;
  if (hasCutTags(deps, input, decision.fields)) {
    deps.observer.storage(route.name, 'tags');
    return undefined;
  }
  return { input: { ...input, purpose: 'interactive', validate: undefined, staleFallback: false }, head, decision };
}

/** No purge since the request went upstream covers what would be stored. To be asked in the step in which it is known. */
export function mayStillKeep(deps: RelayFollowDeps, kept: Keepable): boolean {
  return deps.purgeLog.isValid(storedOf(deps, kept, nothing));
}

const nothing = Buffer.alloc(0);

/** Collects the content as it passes by, and stores it under the position, where there is one. */
export function tapFor(deps: RelayFollowDeps, kept: Keepable, position: Promise<Position | undefined>): RelayTap {
  const { name, policy } = kept.input.route;
  const maxBytes = policy.maxStoredBytes;
  let collector: ByteCollector | undefined = new ByteCollector({ maxBytes });
  return {
    chunk: (part) => {
      if (collector !== undefined && collector.bytes + part.length > maxBytes) collector = undefined;
      collector?.add(part);
    },
    end: (complete) => {
      if (!complete) return;
      if (collector === undefined) {
        deps.observer.storage(name, 'too-large');
        deps.observer.limit('routes.maxStoredBytes');
        return;
      }
      const bytes = collector.take();
      deps.background.run('store', async () => {
        const input = { ...kept.input, position: await position };
        await store(deps, { ...kept, input }, bytes);
      });
    },
  };
}

async function store(deps: RelayFollowDeps, kept: Keepable, bytes: Buffer): Promise<void> {
  const { input, head, decision } = kept;
  if (input.position === undefined) {
    deps.observer.storage(input.route.name, 'purged');
    return;
  }
  const refusal = await refusalOf(deps, input, framed(head), bytes);
  if (refusal !== undefined) {
    deps.observer.storage(input.route.name, refusal);
    return;
  }
  const facts = { vary: decision.vary, fwdStatus: head.status, validated: false };
  await storeResponse(deps, input, storedOf(deps, kept, bytes), facts);
}

function storedOf(deps: RelayFollowDeps, { input, head, decision }: Keepable, bytes: Buffer): StoredResponse {
  return buildStored(deps, input, framed(head), { decision, bytes });
}

/** The relay says of nothing else that it is complete. */
function framed(head: RelayedHead) {
  return { ...head, body: { framed: true } };
}

/**
 * Content-Location names the request's own URL (RFC 9110 §8.7), and a GET of that would ask upstream for it: upstream knows
 * the URL by its own path, which `forward` may have made of another, and rules for queries may have a GET ask for less.
 */
function isOfTarget(
  deps: RelayFollowDeps,
  relayed: Relayed,
  { fields, get }: { readonly fields: FieldLines; readonly get: string },
): boolean {
  const [line, ...more] = fieldLineValues(fields, 'content-location');
  const sent = sentTarget(relayed);
  if (line === undefined || more.length > 0 || sent === undefined || withQuery(sent.path, sent.query) !== get)
    return false;
  const resolved = resolveReference(line, sent);
  if (resolved === undefined) return false;
  const text = withQuery(resolved.path, resolved.query);
  if (isOfUpstream(deps, relayed, resolved)) return text === get;
  return isSameOrigin(deps, relayed, resolved) && text === withQuery(relayed.request.path, relayed.request.query);
}

function tellsMore(
  { route, keyed, requestFields }: Pick<FillInput, 'route' | 'keyed' | 'requestFields'>,
  vary: readonly string[],
): boolean {
  const asGet = [...keyed.canonical.fields, ...forwardedFields(route, requestFields)];
  const kept = withoutAnyAccept(endToEnd(requestFields)).filter(([name]) => !isPutOn(route, name));
  const asSent = route.asksPlain ? plainFields(kept) : kept;
  const differs = (name: string): boolean => fieldValue(asGet, name) !== fieldValue(asSent, name);
  return asSent.some(([name]) => !plain.has(name) && differs(name)) || vary.some(differs);
}
