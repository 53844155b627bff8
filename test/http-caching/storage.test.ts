import {
  askedAgain,
  at,
  type CachingCase,
  type Fields,
  first,
  reused,
  testCaching,
  twice,
} from '../support/caching-script.ts';

const lasting = 'max-age=3600';

const directives: readonly CachingCase[] = [
  ...['no-store', 'No-Store', 'private', 'private="x-a"', 'no-store, max-age=3600', 'max-age=3600, private'].map(
    (value) => twice(`${value}: not stored`, { 'Cache-Control': value, Date: at(0), Expires: at(3600) }, 'upstream'),
  ),
  twice('no-store in a line of its own: not stored', { 'Cache-Control': [lasting, 'no-store'] }, 'upstream'),
  twice('no-store within a quoted string is not said', { 'Cache-Control': `${lasting}, a="no-store"` }, 'store'),
  twice(
    'must-understand overrules no-store for a status that is understood',
    { 'Cache-Control': 'max-age=3600, no-store, must-understand' },
    'store',
  ),
  {
    name: 'must-understand keeps a status that nobody knows from being stored',
    exchanges: [
      first({ 'Cache-Control': 'max-age=3600, must-understand' }, { answer: { status: 299 } }),
      askedAgain({ origin: { status: 299 } }),
    ],
  },
  {
    name: 'no-store with must-understand keeps a status that nobody knows from being stored',
    exchanges: [
      first({ 'Cache-Control': 'max-age=3600, no-store, must-understand' }, { answer: { status: 599 } }),
      askedAgain({ origin: { status: 599 } }),
    ],
  },
  {
    name: 'no-cache is stored, and asked about each time',
    exchanges: [
      first({ 'Cache-Control': 'max-age=3600, no-cache', ETag: '"a"' }),
      { from: 'validated', origin: { status: 304, fields: { ETag: '"a"' } }, sent: { 'if-none-match': '"a"' } },
      { from: 'validated', origin: { status: 304, fields: { ETag: '"a"' } } },
    ],
  },
  {
    name: 'no-cache with names of fields is asked about like any other',
    exchanges: [
      first({ 'Cache-Control': 'max-age=3600, no-cache="x-a"', ETag: '"a"', 'X-A': '1' }),
      { from: 'validated', origin: { status: 304, fields: { ETag: '"a"' } } },
    ],
  },
  {
    name: 'what is stale on arrival is stored where it has a validator',
    exchanges: [
      first({ 'Cache-Control': 'max-age=10', Age: '20', ETag: '"a"' }),
      { from: 'validated', origin: { status: 304, fields: { ETag: '"a"', 'Cache-Control': lasting } } },
      reused({ expect: { 'cache-control': lasting } }),
    ],
  },
  twice(
    'must-revalidate does not keep what is fresh from being used',
    { 'Cache-Control': `${lasting}, must-revalidate` },
    'store',
  ),
  twice('Pragma: no-cache in an answer is not heeded', { 'Cache-Control': lasting, Pragma: 'no-cache' }, 'store'),
  twice('Pragma: no-cache in a request is not heeded', { 'Cache-Control': lasting }, 'store', {
    fields: { Pragma: 'no-cache' },
  }),
];

const authorization = { Authorization: 'Basic Zm9vOmJhcg==' };

function authorized(value: string, from: 'store' | 'upstream'): CachingCase {
  return {
    name: `an answer to Authorization with ${value}: ${from === 'store' ? 'for all' : 'for nobody else'}`,
    exchanges: [
      first(
        { 'Cache-Control': value },
        { fields: authorization, sent: { authorization: authorization.Authorization } },
      ),
      { from },
    ],
  };
}

const requests: readonly CachingCase[] = [
  authorized(lasting, 'upstream'),
  authorized(`${lasting}, public`, 'store'),
  authorized(`${lasting}, must-revalidate`, 'store'),
  authorized('s-maxage=3600', 'store'),
  {
    name: 'a request with Authorization is answered from what is stored for all',
    exchanges: [first({ 'Cache-Control': `${lasting}, public` }), reused({ fields: authorization })],
  },
  {
    name: 'a request with Cookie is looked up, and its Cookie goes upstream',
    exchanges: [
      first({ 'Cache-Control': lasting }, { fields: { Cookie: 'a=1' }, sent: { cookie: 'a=1' } }),
      reused({ fields: { Cookie: 'a=2' } }),
    ],
  },
  {
    name: 'Vary: Cookie keeps answers to other cookies apart',
    exchanges: [
      first({ 'Cache-Control': lasting, Vary: 'Cookie' }, { fields: { Cookie: 'a=1' } }),
      askedAgain({ fields: { Cookie: 'a=2' }, origin: { fields: { 'Cache-Control': lasting, Vary: 'Cookie' } } }),
      reused({ fields: { Cookie: 'a=1' }, of: 1 }),
    ],
  },
  {
    name: 'fields of the request reach upstream as they are, those that nobody knows too',
    exchanges: [
      first(
        {},
        {
          fields: {
            'Req-Num': '1',
            'Test-ID': 'x',
            Pragma: 'foo',
            'Cache-Control': 'nothing-to-see-here',
            'X-Twice': ['a', 'b'],
            'Accept-Language': '*',
          },
          sent: {
            'req-num': '1',
            'test-id': 'x',
            pragma: 'foo',
            'cache-control': 'nothing-to-see-here',
            'x-twice': /^a, ?b$/,
            'accept-language': '*',
          },
        },
      ),
    ],
  },
];

const replayed: readonly (readonly [what: string, fields: Fields])[] = [
  ['a field that nobody knows', { 'Test-Header': 'a', 'X-Test-Header': 'b', 'Content-Foo': 'c', 'X-Content-Foo': 'd' }],
  ['Set-Cookie, line by line,', { 'Set-Cookie': ['a=b', 'c=d'], 'Set-Cookie2': 'e=f' }],
  ['fields of the server', { 'Server-Request-Count': '1', 'Server-Now': '123', 'Request-Numbers': '1 2', Server: 'x' }],
  ['an entity tag without quotation marks', { ETag: 'abcdef' }],
  ['an entity tag with other letters', { ETag: '"abcdef\u00fc"' }],
  ['a coding that nobody knows', { 'Content-Encoding': 'store-value' }],
  ['Content-Location', { 'Content-Location': '/foo' }],
  ['Content-MD5', { 'Content-MD5': 'rL0Y20zC+Fzt72VPzMSk2A==' }],
  ['Content-Range on a 200', { 'Content-Range': 'store-value' }],
  ['Content-Security-Policy', { 'Content-Security-Policy': "default-src 'self'" }],
  ['Content-Type', { 'Content-Type': 'text/plain;charset=utf-8' }],
  ['Clear-Site-Data', { 'Clear-Site-Data': 'cookies' }],
  ['Expires', { Expires: 'Fri, 01 Jan 2038 01:01:01 GMT' }],
  [
    'Public-Key-Pins, X-Frame-Options and X-XSS-Protection',
    { 'Public-Key-Pins': 'a', 'X-Frame-Options': 'deny', 'X-XSS-Protection': '1' },
  ],
  ['rate limits', { 'RateLimit-Remaining': '3', 'X-RateLimit-Limit': '5' }],
  ['an empty value', { 'X-Empty': '' }],
  ['several lines of one name', { 'X-Lines': ['a', 'b', 'c'] }],
  ['Link', { Link: '</a>; rel=preload' }],
];

const fields: readonly CachingCase[] = [
  ...replayed.map(([what, lines]) =>
    twice(`${what} comes from store as it came from upstream`, { 'Cache-Control': lasting, ...lines }, 'store'),
  ),
  ...[
    'Connection',
    'Keep-Alive',
    'Proxy-Authenticate',
    'Proxy-Authentication-Info',
    'Proxy-Authorization',
    'Proxy-Connection',
    'TE',
    'Upgrade',
  ]
    .map((name) =>
      twice(
        `${name} does not keep an answer from being stored`,
        { 'Cache-Control': lasting, [name]: 'store-value' },
        'store',
        {
          expect: { [name]: name === 'Connection' ? /^(close|keep-alive)$/i : /^/ },
        },
      ),
    )
    .map((one, index) => (index === 0 ? one : hopFree(one))),
  {
    name: 'what Connection names is not passed on and not stored, the rest is',
    exchanges: [
      first(
        { 'Cache-Control': lasting, Connection: 'a, b', A: '1', B: '2', C: '3' },
        { expect: { a: null, b: null, c: '3' } },
      ),
      reused({ expect: { a: null, b: null, c: '3' } }),
    ],
  },
  {
    name: 'content is not touched for a client that takes its coding, whatever it is',
    exchanges: [
      first(
        { 'Cache-Control': lasting, 'Content-Encoding': 'gzip' },
        {
          answer: { content: 'no gzip at all' },
          fields: { 'Accept-Encoding': 'gzip' },
          sent: { 'accept-encoding': 'gzip' },
        },
      ),
      reused({
        fields: { 'Accept-Encoding': 'gzip' },
        expect: { 'content-encoding': 'gzip' },
        expectContent: 'no gzip at all',
      }),
    ],
  },
  {
    name: 'content is not touched for a client that names no coding at all',
    exchanges: [
      first(
        { 'Cache-Control': lasting, 'Content-Encoding': 'gzip' },
        { answer: { content: 'no gzip at all' }, expect: { 'content-encoding': 'gzip' } },
      ),
      reused({ expect: { 'content-encoding': 'gzip' }, expectContent: 'no gzip at all' }),
    ],
  },
  {
    name: 'content is not touched where the answer says no-transform, though the client takes no coding',
    exchanges: [
      first(
        { 'Cache-Control': `${lasting}, no-transform`, 'Content-Encoding': 'gzip' },
        { answer: { content: 'no gzip at all' }, fields: { 'Accept-Encoding': 'identity' } },
      ),
      reused({
        fields: { 'Accept-Encoding': 'identity' },
        expect: { 'content-encoding': 'gzip' },
        expectContent: 'no gzip at all',
      }),
    ],
  },
  {
    name: 'bytes are not touched, those beyond ASCII neither',
    exchanges: [
      first(
        { 'Cache-Control': lasting },
        { answer: { content: Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte)).join('') } },
      ),
      reused(),
    ],
  },
  {
    name: 'an answer that ends with its connection is complete, and stored (RFC 9112 §8)',
    exchanges: [first({ 'Cache-Control': lasting }, { answer: { until: 'fin' } }), reused()],
  },
  {
    name: 'an answer in a transfer coding that nobody knows ends with its connection; the coding is not passed on',
    exchanges: [
      first(
        { 'Cache-Control': lasting, 'Transfer-Encoding': 'store-value' },
        { answer: { until: 'fin' }, expect: { 'transfer-encoding': null } },
      ),
      reused({ expect: { 'transfer-encoding': null } }),
    ],
  },
  {
    name: 'an answer that ends with its connection and is cut by a reset is not stored (RFC 9112 §8)',
    exchanges: [
      { from: 'upstream', origin: { fields: { 'Cache-Control': lasting }, until: 'reset' }, cut: true },
      askedAgain(),
    ],
  },
  {
    name: 'a redirect is stored and given as it is, and nobody follows it',
    exchanges: [
      first({ 'Cache-Control': lasting, Location: '/elsewhere' }, { answer: { status: 302 } }),
      reused({ expect: { location: '/elsewhere' } }),
    ],
  },
];

/** A hop-by-hop field may come or not, as the connection says; what is asked is that the answer is stored. */
function hopFree(one: CachingCase): CachingCase {
  return { ...one, exchanges: one.exchanges.map(({ expect: _expect, ...exchange }) => exchange) };
}

testCaching({
  'directives decide what is stored (RFC 9111 §3, §5.2.2)': directives,
  'requests with credentials (RFC 9111 §3.5)': requests,
  'fields and content are stored as they came (RFC 9111 §3.1)': fields,
});
