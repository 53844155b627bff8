/**
 * A second statement of which fields of a response are stored: RFC 9111 §3.1, RFC 9110 §7.6.1. "Caches MUST include all
 * received response header fields", with the exceptions of the RFC, and those of this cache (`own`).
 */
import * as fc from 'fast-check';
import { storableFields } from '../../../src/core/hop-by-hop.ts';
import type { CachePolicy } from '../../../src/core/route.ts';
import { policyOf } from '../../support/policy.ts';
import { of } from './cases.ts';
import { type Line, linesOf, literalList } from './literal-fields.ts';
import { type Clause, type Coverage, decided, describeMembers, differ, type Part } from './part.ts';

/** A response, and where it is stored. */
export interface Received {
  readonly mode: CachePolicy['upstreamCacheControl'];
  readonly storeFields: CachePolicy['storeFields'];
  readonly status: number;
  readonly fields: readonly Line[];
}

/** One line of a response. */
interface InResponse {
  readonly one: Received;
  readonly name: string;
}

/**
 * Fields for every recipient. "A sender MUST NOT send a connection option corresponding to" one (§7.6.1); choice: where one
 * does, such a field stays, so that `Connection: cache-control` lets nobody store what may not be stored.
 */
const FOR_ALL = [
  ['cache-control', 'cdn-cache-control', 'age', 'date', 'expires', 'vary', 'etag', 'host', 'authorization', 'cookie'],
  ['content-type', 'content-length', 'content-encoding', 'content-range'],
].flat();

/** Names that one exchange or one place on the way has given (`own`, ruled routes). */
const OF_ONE_EXCHANGE = ['x-request-id', 'x-trace-id', 'cf-ray', 'traceparent', 'x-amzn-trace-id', 'x-cache-key'];

function isNominated({ one, name }: InResponse): boolean {
  return linesOf(one.fields, 'connection').some((line) =>
    literalList(line).some((option) => option.toLowerCase() === name),
  );
}

const isPlain = (word: string): boolean => /^[a-z0-9]+$/.test(word);

/** Words between hyphens, one of which begins the name of a limit or a quota, all before it plain (`own`). */
function isQuota({ name }: InResponse): boolean {
  const words = name.split('-');
  const at = words.findIndex(
    (word, index) => ['ratelimit', 'quota'].includes(word) || (word === 'rate' && words[index + 1] === 'limit'),
  );
  return at !== -1 && words.slice(0, at).every(isPlain);
}

const isRuled = ({ one }: InResponse): boolean => one.mode !== 'honour';

/** A line is stored where none of these holds. */
export const excludes: readonly Clause<InResponse>[] = [
  { id: 'D1', of: 'RFC 9111 §3.1', says: 'Connection', holds: ({ name }) => name === 'connection' },
  {
    id: 'D2',
    of: 'RFC 9111 §3.1, RFC 9110 §7.6.1',
    says: 'a field that Connection names, unless it is for every recipient (own)',
    holds: (line) => isNominated(line) && !FOR_ALL.includes(line.name),
  },
  {
    id: 'D3',
    of: 'RFC 9110 §7.6.1',
    says: 'known to be of one connection: Proxy-Connection, Keep-Alive, TE, Transfer-Encoding, Upgrade',
    holds: ({ name }) => ['proxy-connection', 'keep-alive', 'te', 'transfer-encoding', 'upgrade'].includes(name),
  },
  {
    id: 'D4',
    of: 'RFC 9111 §3.1',
    says: 'of the proxy that was used: Proxy-Authenticate, Proxy-Authentication-Info, Proxy-Authorization',
    holds: ({ name }) => ['proxy-authenticate', 'proxy-authentication-info', 'proxy-authorization'].includes(name),
  },
  {
    id: 'D5',
    of: 'RFC 9111 §3.1, RFC 9110 §6.6.2',
    says: 'Trailer, since trailer fields are discarded',
    holds: ({ name }) => name === 'trailer',
  },
  {
    id: 'D6',
    of: 'own (RFC 9111 §5.1)',
    says: 'Age, which is computed anew whenever the response is used',
    holds: ({ name }) => name === 'age',
  },
  {
    id: 'D7',
    of: 'own (RFC 9111 §7.3)',
    says: 'storeFields: safe, and a cookie of one caller',
    holds: ({ one, name }) => one.storeFields === 'safe' && (name === 'set-cookie' || name === 'set-cookie2'),
  },
  {
    id: 'D8',
    of: 'own',
    says: 'storeFields: safe, and what is left of one caller’s quota',
    holds: (line) => line.one.storeFields === 'safe' && isQuota(line),
  },
  {
    id: 'D9',
    of: 'own',
    says: 'on a ruled route: the name of one exchange',
    holds: (line) => isRuled(line) && OF_ONE_EXCHANGE.includes(line.name),
  },
  {
    id: 'D10',
    of: 'own (RFC 9211 §2)',
    says: 'on a ruled route: Cache-Status of upstream',
    holds: (line) => isRuled(line) && line.name === 'cache-status',
  },
  {
    id: 'D11',
    of: 'own (RFC 9110 §10.2.3)',
    says: 'on a ruled route: Retry-After of what is no error and no redirection',
    holds: (line) => isRuled(line) && line.name === 'retry-after' && line.one.status < 300,
  },
];

/** The lines that are stored. */
export function literalStored(one: Received, coverage?: Coverage): readonly Line[] {
  return one.fields.filter(([name]) => {
    const against = excludes.filter((clause) => clause.holds({ one, name }));
    const [only, ...others] = against;
    if (only !== undefined && others.length === 0) decided(only, coverage);
    return against.length === 0;
  });
}

/** Fields as upstreams send them, such as are kept, such as are not, and such as look like those. */
export const fieldLines: fc.Arbitrary<readonly Line[]> = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc
        .tuple(
          of(
            'x-other',
            'x-hop',
            'content-type',
            'content-encoding',
            'content-length',
            'content-language',
            'cache-status',
            'retry-after',
            'keep-alive',
            'proxy-connection',
            'te',
            'transfer-encoding',
            'upgrade',
            'trailer',
            'proxy-authenticate',
            'proxy-authentication-info',
            'proxy-authorization',
            'proxy-other',
            'set-cookie',
            'set-cookie2',
            'server-timing',
            'x-request-id',
            'cf-ray',
            'traceparent',
            'x-cache-key',
            'x-trace-id',
            'ratelimit',
            'ratelimit-policy',
            'x-ratelimit-remaining',
            'x-rate-limit-left',
            'x-app-rate-limit',
            'x-quota',
            'x-quotation',
            'rate-limited',
            'x--quota',
            'x-rate',
            'limit',
          ),
          of('1', '1', 'a, b', ''),
        )
        .map(([name, value]): Line => [name, value]),
    },
    {
      weight: 1,
      arbitrary: of<Line>(
        ['connection', 'x-hop'],
        ['connection', 'close'],
        ['connection', 'Keep-Alive, X-Other'],
        ['connection', 'cache-control, content-encoding'],
        ['connection', ' X-HOP ,, retry-after'],
        ['connection', '"x-hop"'],
        ['connection', 'x-other x-hop'],
        ['age', '10'],
        ['date', 'Mon, 23 Nov 2026 12:00:00 GMT'],
        ['cache-control', 'max-age=60, no-cache="x-other"'],
      ),
    },
  ),
  { maxLength: 8 },
);

/** The function that {@link storedFieldsPart} holds against the rules. */
export interface FieldsPolicy {
  readonly storableFields: typeof storableFields;
}

export const storedFieldsPart: Part<Received, FieldsPolicy> = {
  name: 'fields that are stored (RFC 9111 §3.1)',
  clauses: excludes,
  cases: fc.record({
    mode: of<Received['mode']>('honour', 'cap', 'ignore'),
    storeFields: of<Received['storeFields']>('safe', 'all'),
    status: of(200, 200, 204, 301, 404, 503),
    fields: fieldLines,
  }),
  policy: { storableFields },
  difference: (one, policy, coverage) => {
    const on = policyOf({ upstreamCacheControl: one.mode, storeFields: one.storeFields });
    return differ('fields', policy.storableFields(one.fields, on, one.status), literalStored(one, coverage));
  },
  describe: describeMembers,
};
