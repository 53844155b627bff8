/**
 * A second statement of validation: RFC 9111 §4.3.1 (what is asked), §4.3.4 with §3.2 (what a 304 makes of a stored response) and
 * §4.3.5 (what a HEAD does). Which responses may be stored and for how long they are fresh then is stated in rules.ts, and is
 * asked of the updated one anew. Choices (`own`):
 * - one stored response is validated, and only what has a validator is, so the set to choose from is that one;
 * - Last-Modified is a weak validator here (RFC 9110 §8.8.2.2 needs a reason to believe in the clocks), what is not marked as
 *   weak is a strong entity tag, and where an entity tag came it decides, as in RFC 9110 §13.2.2;
 * - what a HEAD shows to be another representation is dropped, which is more than to "consider it stale".
 */
import * as fc from 'fast-check';
import {
  confirms,
  freshenByHead,
  type FreshenInput,
  freshenStored,
  validationFields,
} from '../../../src/core/freshen.ts';
import { evaluatePreconditions } from '../../../src/core/preconditions.ts';
import { decideStorage } from '../../../src/core/storage-policy.ts';
import type { StoredResponse } from '../../../src/core/stored-response.ts';
import { SECOND } from '../../support/policy.ts';
import { cacheControl, cases as exchanges, dateNear, lineOf, of, some, spellDate } from './cases.ts';
import { etagOf, literalConditions } from './conditions.ts';
import { describeCase, storageInputOf, storedOf } from './difference.ts';
import type { Case } from './facts.ts';
import { isPresent, type Line, linesOf, onlyDate } from './literal-fields.ts';
import { type Clause, type Coverage, describeMembers, differ, firstOf, type Part } from './part.ts';
import { type Facts, factsOf, forbidsStoring, timesOf, varyOf } from './rules.ts';
import { excludes, fieldLines, literalStored } from './stored-fields.ts';

/** A stored response, and what came when upstream was asked about it. */
interface Validated {
  /** How it was stored. */
  readonly exchange: Case;
  /** Fields of the client's request that is answered; none for background work. */
  readonly request: readonly Line[];
  readonly received: readonly Line[];
  readonly requestTimeMs: number;
  readonly responseTimeMs: number;
}

/** The answer to a HEAD. */
interface ByHead extends Validated {
  readonly status: number;
}

const LENGTH = 11;

/** Of a stored response the validators that there are. */
interface Compared {
  readonly etag: string | undefined;
  readonly lastModified: string | undefined;
  readonly received: readonly Line[];
}

const tags = ({ received }: Compared): readonly string[] => linesOf(received, 'etag').filter((tag) => tag !== '');
const isWeak = (tag: string): boolean => tag.startsWith('W/');
const strongTags = (one: Compared): readonly string[] => tags(one).filter((tag) => !isWeak(tag));
const opaque = (tag: string): string => (isWeak(tag) ? tag.slice(2) : tag);
const modified = ({ received }: Compared): string => linesOf(received, 'last-modified').join(', ');
const isSameDate = (one: Compared): boolean =>
  isPresent(one.received, 'last-modified') && modified(one) === one.lastModified;

type ConfirmClause = Clause<Compared> & { readonly updates: boolean };

/** Whether the 304 updates the stored response: "filtered by the first match of". */
const identifies: readonly ConfirmClause[] = [
  {
    id: 'V1',
    of: 'RFC 9111 §4.3.4',
    says: 'strong validators came, and the stored response has one of the same',
    holds: (one) => one.etag !== undefined && strongTags(one).includes(one.etag),
    updates: true,
  },
  {
    id: 'V2',
    of: 'RFC 9111 §4.3.4',
    says: 'strong validators came, and it has none of the same: MUST NOT',
    holds: (one) => strongTags(one).length > 0,
    updates: false,
  },
  {
    id: 'V3',
    of: 'RFC 9111 §4.3.4',
    says: 'no strong one but a weak entity tag came, which corresponds to the stored one (RFC 9110 §8.8.3.2)',
    holds: (one) => one.etag !== undefined && tags(one).map(opaque).includes(opaque(one.etag)),
    updates: true,
  },
  {
    id: 'V4',
    of: 'RFC 9111 §4.3.4',
    says: 'a weak entity tag came, and the stored one is another',
    holds: (one) => tags(one).length > 0 && one.etag !== undefined,
    updates: false,
  },
  {
    id: 'V5',
    of: 'RFC 9111 §4.3.4',
    says: 'Last-Modified came, which corresponds to the stored one',
    holds: isSameDate,
    updates: true,
  },
  {
    id: 'V6',
    of: 'RFC 9111 §4.3.4',
    says: 'weak validators came, and none corresponds',
    holds: (one) =>
      tags(one).length > 0 || (isPresent(one.received, 'last-modified') && one.lastModified !== undefined),
    updates: false,
  },
  {
    id: 'V7',
    of: 'own (RFC 9111 §4.3.3)',
    says: 'no validator came, or a Last-Modified where none is stored: the 304 answers for what was sent',
    holds: () => true,
    updates: true,
  },
];

const comparedOf = ({ exchange, received }: Validated, stored: StoredResponse): Compared => ({
  etag: etagOf(stored.fields),
  lastModified:
    onlyDate(stored.fields, 'last-modified', exchange.responseTimeMs) === undefined
      ? undefined
      : linesOf(stored.fields, 'last-modified')[0],
  received,
});

/** What an update leaves out: clauses of §3.1 that hold whatever the route, and what describes the stored content. */
const ofOneConnection = excludes.filter(({ id }) => ['D1', 'D2', 'D3', 'D4', 'D5'].includes(id));

/**
 * RFC 9111 §3.2: "MUST add each header field in the provided response to the stored response, replacing field values that are
 * already present, with the following exceptions": those that are not stored, Content-Length, and what the stored content
 * depends upon: its coding, its range, and its digests (RFC 9530 §2, §3) where it has none, since they went with a coding that was
 * taken off. A Date of receipt is appended where none came (RFC 9110 §6.6.1).
 */
function updated({ exchange, received, responseTimeMs }: Validated, stored: readonly Line[]): readonly Line[] {
  const { policy } = exchange.route;
  const one = { mode: policy.upstreamCacheControl, storeFields: policy.storeFields, status: 200, fields: received };
  const dated: readonly Line[] = isPresent(received, 'date')
    ? received
    : [...received, ['date', spellDate(responseTimeMs, 'imf')]];
  const provided = dated.filter(
    ([name]) =>
      !['content-length', 'content-encoding', 'content-range'].includes(name) &&
      !(['content-md5', 'content-digest', 'repr-digest', 'digest'].includes(name) && !isPresent(stored, name)) &&
      !ofOneConnection.some((clause) => clause.holds({ one, name })),
  );
  return [...stored.filter(([name]) => !isPresent(provided, name)), ...provided];
}

/** Field lines by name, since the order of different ones means nothing (RFC 9110 §5.3). */
function byName(fields: readonly Line[]): Readonly<Record<string, readonly string[]>> {
  const names = [...new Set(fields.map(([name]) => name))].toSorted();
  return Object.fromEntries(names.map((name) => [name, linesOf(fields, name)]));
}

/** The updated response, as an exchange of its own. */
function asExchange(one: Validated, stored: StoredResponse): Case {
  const { request, requestTimeMs, responseTimeMs } = one;
  const response = updated(one, stored.fields);
  const times = { requestTimeMs, responseTimeMs, nowMs: responseTimeMs };
  return { ...one.exchange, ...times, request, response, method: 'GET' };
}

/** The updated response, and what follows for storing it. */
interface Update {
  readonly should: Case;
  readonly facts: Facts;
  readonly isStorable: boolean;
  /** It is not for what the request is that it may not be stored. */
  readonly ends: boolean;
}

function updateOf(one: Validated, stored: StoredResponse): Update {
  const should = asExchange(one, stored);
  const facts = factsOf(should);
  const isStorable = mayBeStored(facts);
  return { should, facts, isStorable, ends: !isStorable && !mayBeStored(factsOf({ ...should, request: [] })) };
}

const mayBeStored = (facts: Facts): boolean => !forbidsStoring.some((clause) => clause.holds(facts));

/** Fields that are kept of the updated response. */
function kept({ route, status, response }: Case): readonly Line[] {
  const { upstreamCacheControl: mode, storeFields } = route.policy;
  return literalStored({ mode, storeFields, status, fields: response });
}

function freshenInput(one: Validated, stored: StoredResponse): FreshenInput {
  const { exchange, request, received, requestTimeMs, responseTimeMs } = one;
  const { route, keyed } = storageInputOf({ ...exchange, method: 'GET' });
  return { stored, route, keyed, requestFields: request, fields: received, requestTimeMs, responseTimeMs };
}

/** The stored response of the exchange, where it is one that can be validated. */
function validatable({ exchange }: Validated): StoredResponse | undefined {
  const decision = decideStorage(storageInputOf(exchange));
  if (decision.kind === 'pass' || (decision.etag === undefined && decision.lastModified === undefined))
    return undefined;
  return { ...storedOf(exchange, decision), body: Buffer.alloc(LENGTH) };
}

/** The functions that {@link validationPart} and {@link headPart} hold against the rules. */
export interface ValidationPolicy {
  readonly validationFields: typeof validationFields;
  readonly confirms: typeof confirms;
  readonly freshenStored: typeof freshenStored;
  readonly freshenByHead: typeof freshenByHead;
  readonly evaluatePreconditions: typeof evaluatePreconditions;
}

const policyAsItIs: ValidationPolicy = {
  validationFields,
  confirms,
  freshenStored,
  freshenByHead,
  evaluatePreconditions,
};

/** §4.3.1: MUST send the entity tag, SHOULD send Last-Modified. */
function asked({ etag, lastModified }: Compared): readonly Line[] {
  return [...lineOf('if-none-match', etag), ...lineOf('if-modified-since', lastModified)];
}

/** Of the response that is updated. */
function updateDifference(is: StoredResponse, { should, facts, isStorable }: Update): string | undefined {
  const { source, ...times } = is.freshness;
  return (
    differ('fields', byName(is.fields), byName(kept(should))) ??
    differ('initial age', is.initialAgeMs, facts.initialAgeMs) ??
    (isStorable
      ? differ(`times (${source})`, times, timesOf(facts))
      : differ('kept until', is.freshness.retainUntilMs, should.responseTimeMs))
  );
}

function difference(one: Validated, policy: ValidationPolicy, coverage?: Coverage): string | undefined {
  const stored = validatable(one);
  if (stored === undefined) return undefined;
  const compared = comparedOf(one, stored);
  const confirmed = firstOf(identifies, compared, coverage).updates;
  const found =
    differ('asked', policy.validationFields(stored), asked(compared)) ??
    differ('updates', policy.confirms(stored, one.received), confirmed);
  if (found !== undefined || !confirmed) return found;
  const { response, storage, ends } = policy.freshenStored(freshenInput(one, stored));
  const update = updateOf(one, stored);
  firstOf(outcomes, update, coverage);
  return (
    differ('stored', storage.kind === 'store', update.isStorable) ??
    differ('ends', ends, update.ends) ??
    (storage.kind === 'store' ? differ('vary', storage.vary, varyOf(update.facts)) : undefined) ??
    updateDifference(response, update) ??
    differ(
      'the client’s condition',
      policy.evaluatePreconditions(one.request, response),
      literalConditions({ ...update.should, stored: kept(update.should) }),
    )
  );
}

/** What becomes of an updated response; counted, so that none is left untried. */
const outcomes: readonly Clause<Update>[] = [
  {
    id: 'V8',
    of: 'RFC 9111 §3, §4.3.4',
    says: 'updated it may be stored: it lives on, its age and freshness counted anew',
    holds: ({ isStorable }) => isStorable,
  },
  {
    id: 'V9',
    of: 'own (RFC 9111 §3)',
    says: 'it may not be stored for what this one request is: it answers that, and the stored one stays',
    holds: ({ ends }) => !ends,
  },
  {
    id: 'V10',
    of: 'own (RFC 9111 §3)',
    says: 'it may not be stored any longer: it answers this request, and goes',
    holds: () => true,
  },
];

interface HeadFacts {
  readonly one: ByHead;
  readonly stored: StoredResponse;
  readonly compared: Compared;
  readonly update: Update;
}

const isSameTag = (stored: string | undefined, tag: string): boolean =>
  stored !== undefined && (isWeak(tag) ? opaque(stored) === opaque(tag) : stored === tag);

/** Of a 304 that nobody here has asked for (§4.3.4): by a validator in it, and not for what was sent. */
const isNamed = ({ one, compared }: HeadFacts): boolean => {
  const first = identifies.find((clause) => clause.holds(compared));
  return one.status === 304 && first?.updates === true && first.id !== 'V7';
};

/** §4.3.5: the first that holds. */
const byHead: readonly (Clause<HeadFacts> & { readonly gives: ReturnType<typeof freshenByHead>['kind'] })[] = [
  {
    id: 'H1',
    of: 'RFC 9111 §4.3.4, §4.3.5',
    says: 'only a 200 (OK) to HEAD updates or invalidates, and a 304 with a validator of the stored response',
    holds: (facts) => facts.one.status !== 200 && !isNamed(facts),
    gives: 'ignore',
  },
  {
    id: 'H2',
    of: 'own',
    says: 'stored is no 200: the HEAD shows that a GET would get one now',
    holds: ({ one, stored }) => one.status === 200 && stored.status !== 200,
    gives: 'invalidate',
  },
  {
    id: 'H3',
    of: 'RFC 9111 §4.3.5, RFC 9110 §8.8.3.2',
    says: 'a received entity tag does not match that of the stored response',
    holds: ({ one, compared }) => one.status === 200 && tags(compared).some((tag) => !isSameTag(compared.etag, tag)),
    gives: 'invalidate',
  },
  {
    id: 'H4',
    of: 'RFC 9111 §4.3.5',
    says: 'a received Last-Modified does not match that of the stored response',
    holds: ({ one, compared }) =>
      one.status === 200 && isPresent(one.received, 'last-modified') && !isSameDate(compared),
    gives: 'invalidate',
  },
  {
    id: 'H5',
    of: 'RFC 9111 §4.3.5',
    says: 'a received Content-Length does not match the stored response',
    holds: ({ one }) =>
      one.status === 200 &&
      isPresent(one.received, 'content-length') &&
      linesOf(one.received, 'content-length').join(', ') !== String(LENGTH),
    gives: 'invalidate',
  },
  {
    id: 'H6',
    of: 'own (RFC 9111 §3)',
    says: 'updated it may not be stored, for what this one request is: nothing is learnt for others',
    holds: ({ update: { isStorable, ends } }) => !isStorable && !ends,
    gives: 'ignore',
  },
  {
    id: 'H7',
    of: 'own (RFC 9111 §3)',
    says: 'updated it may not be stored any longer',
    holds: ({ update }) => !update.isStorable,
    gives: 'invalidate',
  },
  {
    id: 'H8',
    of: 'RFC 9111 §4.1',
    says: 'updated it varies by what its key does not hold',
    holds: ({ one, stored, update }) => {
      const before = varyOf(factsOf({ ...one.exchange, response: stored.fields }));
      return varyOf(update.facts).some((name) => !before.includes(name));
    },
    gives: 'invalidate',
  },
  {
    id: 'H9',
    of: 'RFC 9111 §4.3.5',
    says: 'all that was received matches, or a 304 names it: updated by the fields of the HEAD',
    holds: () => true,
    gives: 'update',
  },
];

function headDifference(one: ByHead, policy: ValidationPolicy, coverage?: Coverage): string | undefined {
  const stored = validatable(one);
  if (stored === undefined) return undefined;
  const input = freshenInput(one, stored);
  const keyed = { ...input.keyed, canonical: { method: 'HEAD' as const } };
  const learnt = policy.freshenByHead({ ...input, keyed, status: one.status });
  const update = updateOf(one, stored);
  const clause = firstOf(byHead, { one, stored, compared: comparedOf(one, stored), update }, coverage);
  return (
    differ('by HEAD', learnt.kind, clause.gives) ??
    (learnt.kind === 'update' ? updateDifference(learnt.response, update) : undefined)
  );
}

const mostly = <T>(usual: fc.Arbitrary<T>, other: fc.Arbitrary<T>): fc.Arbitrary<T> =>
  fc.oneof({ weight: 3, arbitrary: usual }, { weight: 1, arbitrary: other });

/** Stored responses that nearly all can be validated. */
const storedExchanges: fc.Arbitrary<Case> = fc
  .tuple(
    exchanges,
    fc.record({
      status: mostly(of(200), of(203, 404, 301)),
      request: mostly(of<readonly Line[]>([]), of<readonly Line[]>([['authorization', 'Bearer secret']])),
      control: mostly(
        of<readonly Line[]>([], [['cache-control', 'max-age=60']], [['cache-control', 'public, max-age=10']]),
        cacheControl,
      ),
      etag: some(70, of('"a"', '"a"', 'W/"a"', 'bare', '')),
      modified: some(60, dateNear(0, -10, -3600)),
      others: fieldLines,
    }),
  )
  .map(([exchange, { status, request, control, etag, modified: date, others }]) => {
    const replaced = ['cache-control', 'etag', 'last-modified', 'vary'];
    const rest = exchange.response.filter(([name]) => !replaced.includes(name));
    // Of fields that come once there is one.
    const more = others.filter(([name]) => !['cache-control', 'date', 'age'].includes(name));
    const validators = [...lineOf('etag', etag), ...lineOf('last-modified', date?.(exchange.responseTimeMs))];
    const response = [...rest, ...control, ...validators, ...more];
    return { ...exchange, method: 'GET', status, request, response };
  });

type LinesOf = (exchange: Case) => readonly Line[];

const sameAs =
  (name: string, change: (value: string) => string = (value) => value): LinesOf =>
  ({ response }) =>
    linesOf(response, name).map((value) => [name, change(value)]);

const fixed =
  (...lines: readonly Line[]): LinesOf =>
  () =>
    lines;

/** The validators of an answer: those that are stored, others, none. */
const validators: fc.Arbitrary<LinesOf> = fc
  .tuple(
    fc.oneof(
      { weight: 4, arbitrary: of(sameAs('etag')) },
      { weight: 3, arbitrary: of(fixed()) },
      {
        weight: 3,
        arbitrary: of(
          sameAs('etag', (tag) => `W/${tag.replace('W/', '')}`),
          sameAs('etag', (tag) => tag.replace('W/', '')),
          fixed(['etag', '"b"']),
          fixed(['etag', 'W/"b"']),
          fixed(['etag', '"a"']),
          fixed(['etag', 'W/"a"']),
          fixed(['etag', '']),
          fixed(['etag', '"b"'], ['etag', '"a"']),
          fixed(['etag', 'W/"b"'], ['etag', '"a"']),
        ),
      },
    ),
    fc.oneof(
      { weight: 2, arbitrary: of(sameAs('last-modified')) },
      { weight: 3, arbitrary: of(fixed()) },
      {
        weight: 1,
        arbitrary: of(fixed(['last-modified', 'Sun, 22 Nov 2026 12:00:00 GMT']), fixed(['last-modified', 'yesterday'])),
      },
    ),
  )
  .map(([etag, date]): LinesOf => (exchange) => [...etag(exchange), ...date(exchange)]);

/** What else such an answer says. */
const renewed = fc
  .tuple(
    some(
      40,
      mostly(of<readonly Line[]>([['cache-control', 'max-age=120']], [['cache-control', 'no-cache']]), cacheControl),
    ),
    some(70, dateNear(0, 0, 0, -1, -60, 60)),
    some(10, dateNear(60, 3600)),
    some(10, of('0', '5', '3600', 'abc')),
    some(10, of('Accept', 'X-Tenant', '*')),
    fieldLines,
  )
  .map(([control = [], date, expires, age, vary, others]) => (atMs: number): readonly Line[] => [
    ...control,
    ...lineOf('date', date?.(atMs)),
    ...lineOf('expires', expires?.(atMs)),
    ...lineOf('age', age),
    ...lineOf('vary', vary),
    ...others.filter(([name]) => !['cache-control', 'date', 'age'].includes(name)),
  ]);

const validatedCases: fc.Arbitrary<Validated> = fc
  .tuple(
    storedExchanges,
    validators,
    renewed,
    fc.record({
      request: mostly(
        of<readonly Line[]>(
          [],
          [],
          [['if-none-match', '"a"']],
          [['if-modified-since', 'Mon, 23 Nov 2026 12:00:00 GMT']],
        ),
        of<readonly Line[]>([['cache-control', 'no-store']], [['authorization', 'Bearer secret']], [['cookie', 'a=b']]),
      ),
      laterMs: of(0, 1, 60, 3600, 100_000).map((seconds) => seconds * SECOND),
      delayMs: of(0, 250, -3000),
    }),
  )
  .map(([exchange, validated, rest, { request, laterMs, delayMs }]) => {
    const requestTimeMs = exchange.responseTimeMs + laterMs;
    const responseTimeMs = requestTimeMs + delayMs;
    const received = [...validated(exchange), ...rest(responseTimeMs)];
    return { exchange, request, received, requestTimeMs, responseTimeMs };
  });

function describe({ exchange, ...rest }: Validated): string {
  return `${describeMembers(rest)}\nstored by\n${describeCase(exchange)}`;
}

export const validationPart: Part<Validated, ValidationPolicy> = {
  name: 'validation (RFC 9111 §3.2, §4.3.1, §4.3.3, §4.3.4)',
  clauses: [...identifies, ...outcomes],
  cases: validatedCases,
  policy: policyAsItIs,
  difference,
  describe,
};

export const headPart: Part<ByHead, ValidationPolicy> = {
  name: 'freshening by HEAD (RFC 9111 §4.3.5)',
  clauses: byHead,
  cases: fc
    .tuple(
      validatedCases,
      mostly(of(200), of(204, 206, 304, 404, 500)),
      some(60, of('11', '11', '11', '12', '0', '1e1')),
    )
    .map(([one, status, length]) => ({
      ...one,
      status,
      received: [...one.received.filter(([name]) => name !== 'content-length'), ...lineOf('content-length', length)],
    })),
  policy: policyAsItIs,
  difference: headDifference,
  describe,
};
