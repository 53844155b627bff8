import {
  askedAgain,
  at,
  type CachingCase,
  type Expected,
  type Fields,
  first,
  reused,
  testCaching,
} from '../support/caching-script.ts';

const lasting = 'max-age=3600';
const modified = 'Wed, 01 Jan 2020 00:00:00 GMT';

type Row = readonly [
  what: string,
  stored: Fields,
  asks: Readonly<Record<string, string | string[]>>,
  status: 304 | 200,
];

const tagged: Fields = { ETag: '"abcdef"' };
const dated: Fields = { 'Last-Modified': modified };

/** What is fresh is answered from store: 304 or whole, as the client's condition says (RFC 9110 §13.1). */
const conditions: readonly Row[] = [
  ['its entity tag', tagged, { 'If-None-Match': '"abcdef"' }, 304],
  ['another entity tag', tagged, { 'If-None-Match': '"other"' }, 200],
  ['its weak entity tag', { ETag: 'W/"abcdef"' }, { 'If-None-Match': 'W/"abcdef"' }, 304],
  ['the weak form of its strong entity tag', tagged, { 'If-None-Match': 'W/"abcdef"' }, 304],
  ['the strong form of its weak entity tag', { ETag: 'W/"abcdef"' }, { 'If-None-Match': '"abcdef"' }, 304],
  ['an entity tag in another case', tagged, { 'If-None-Match': '"ABCDEF"' }, 200],
  ['its entity tag in the midst of a list', tagged, { 'If-None-Match': '"a", "abcdef", "b"' }, 304],
  ['its entity tag in a list without spaces', tagged, { 'If-None-Match': '"a","abcdef"' }, 304],
  ['its entity tag in a second line', tagged, { 'If-None-Match': ['"a"', '"abcdef"'] }, 304],
  ['its entity tag with a comma in it', { ETag: '"a,b"' }, { 'If-None-Match': '"x", "a,b"' }, 304],
  ['half of an entity tag with a comma in it', { ETag: '"a"' }, { 'If-None-Match': '"a,b"' }, 200],
  ['a list without its entity tag', tagged, { 'If-None-Match': '"a", "b"' }, 200],
  ['any entity tag', tagged, { 'If-None-Match': '*' }, 304],
  ['any entity tag, where it has none', {}, { 'If-None-Match': '*' }, 304],
  ['an entity tag, where it has none', dated, { 'If-None-Match': '"abcdef"' }, 200],
  ['its own Last-Modified', dated, { 'If-Modified-Since': modified }, 304],
  ['a time after its Last-Modified', dated, { 'If-Modified-Since': 'Thu, 02 Jan 2020 00:00:00 GMT' }, 304],
  ['a time before its Last-Modified', dated, { 'If-Modified-Since': 'Tue, 31 Dec 2019 23:59:59 GMT' }, 200],
  ['its Last-Modified in RFC 850 form', dated, { 'If-Modified-Since': 'Wednesday, 01-Jan-20 00:00:00 GMT' }, 304],
  ['its Last-Modified in asctime form', dated, { 'If-Modified-Since': 'Wed Jan  1 00:00:00 2020' }, 304],
  ['a time that is no date', dated, { 'If-Modified-Since': '2020-01-01' }, 200],
  [
    'a matching entity tag beside an earlier time',
    { ...tagged, ...dated },
    { 'If-None-Match': '"abcdef"', 'If-Modified-Since': 'Tue, 31 Dec 2019 00:00:00 GMT' },
    304,
  ],
  [
    'another entity tag beside a later time',
    { ...tagged, ...dated },
    { 'If-None-Match': '"other"', 'If-Modified-Since': 'Thu, 02 Jan 2020 00:00:00 GMT' },
    200,
  ],
];

const fromStore: readonly CachingCase[] = [
  ...conditions.map(([what, stored, asks, status]): CachingCase => ({
    name: `a request with ${what} gets ${status} from what is fresh`,
    exchanges: [first({ 'Cache-Control': lasting, ...stored }), reused({ fields: asks, status })],
  })),
  {
    name: 'a 304 from store has the entity tag and what else a cache is updated by, and no content',
    exchanges: [
      first({
        'Cache-Control': lasting,
        Date: at(0),
        Expires: at(3600),
        ETag: '"abcdef"',
        Vary: 'X-None',
        'Content-Location': '/x',
      }),
      reused({
        fields: { 'If-None-Match': '"abcdef"' },
        status: 304,
        expect: {
          etag: '"abcdef"',
          'cache-control': lasting,
          date: at(0),
          expires: at(3600),
          vary: 'X-None',
          'content-location': '/x',
          age: /^\d+$/,
        },
      }),
    ],
  },
  {
    name: 'without Last-Modified a time after Date gets 304 from what is fresh',
    exchanges: [
      first({
        'Cache-Control': lasting,
        Date: 'Wed, 01 Jan 2020 00:00:00 GMT',
        'CDN-Cache-Control': 'max-age=999999999',
      }),
      reused({ fields: { 'If-Modified-Since': 'Thu, 02 Jan 2020 00:00:00 GMT' }, status: 304 }),
    ],
  },
];

const expired = { 'Cache-Control': 'max-age=10', Age: '20' };
const notModified = (fields: Fields) => ({ status: 304, fields });

const upstream: readonly CachingCase[] = [
  {
    name: 'what is stale is asked about with its entity tag and its Last-Modified',
    exchanges: [
      first({ ...expired, ...tagged, ...dated }),
      {
        from: 'validated',
        origin: notModified(tagged),
        sent: { 'if-none-match': '"abcdef"', 'if-modified-since': modified },
        cacheStatus: /^forecache; fwd=stale; fwd-status=304/,
      },
    ],
  },
  {
    name: 'its own validators replace those of the client, whose condition is answered from what came of it',
    exchanges: [
      first({ ...expired, ...tagged }),
      {
        from: 'validated',
        fields: { 'If-None-Match': '"abcdef", "mine"' },
        sent: { 'if-none-match': '"abcdef"' },
        origin: notModified({ ...tagged, 'Cache-Control': lasting }),
        status: 304,
        expect: { etag: '"abcdef"' },
      },
      reused({ expect: { 'cache-control': lasting } }),
    ],
  },
  {
    name: 'a client whose copy is another gets the stored answer whole after a 304',
    exchanges: [
      first({ ...expired, ...tagged }),
      {
        from: 'validated',
        fields: { 'If-None-Match': '"mine"' },
        sent: { 'if-none-match': '"abcdef"' },
        origin: notModified(tagged),
      },
    ],
  },
  {
    name: 'a whole answer to the condition replaces what is stored',
    exchanges: [
      first({ ...expired, ...tagged }),
      askedAgain({
        sent: { 'if-none-match': '"abcdef"' },
        origin: { fields: { 'Cache-Control': lasting, ETag: '"new"' } },
      }),
      reused({ of: 2, expect: { etag: '"new"' } }),
    ],
  },
  {
    name: 'a whole answer that may not be stored takes the place of nothing, and is asked for again',
    exchanges: [
      first({ ...expired, ...tagged }),
      askedAgain({ origin: { fields: { 'Cache-Control': 'no-store' } } }),
      askedAgain(),
    ],
  },
  {
    name: 'an entity tag without quotation marks is sent as it came',
    exchanges: [first({ ...expired, ETag: 'abcdef' }), askedAgain({ sent: { 'if-none-match': 'abcdef' } })],
  },
  {
    name: 'what is stale and has no validator is asked for whole',
    exchanges: [
      // stale-if-error is a use for it, so it is stored.
      first({ 'Cache-Control': 'max-age=10, stale-if-error=3600', Age: '20' }),
      askedAgain({
        cacheStatus: /^forecache; fwd=stale; /,
        sent: { 'if-none-match': null, 'if-modified-since': null },
      }),
    ],
  },
  {
    name: 'with nothing stored If-None-Match goes upstream, and its 304 to the client',
    exchanges: [
      {
        from: 'upstream',
        fields: { 'If-None-Match': '"mine"' },
        sent: { 'if-none-match': '"mine"' },
        origin: notModified({ ETag: '"mine"' }),
        status: 304,
      },
      askedAgain(),
    ],
  },
  {
    name: 'with nothing stored If-Modified-Since goes upstream, and its 304 to the client',
    exchanges: [
      {
        from: 'upstream',
        fields: { 'If-Modified-Since': modified },
        sent: { 'if-modified-since': modified },
        origin: notModified({ 'Last-Modified': modified }),
        status: 304,
      },
    ],
  },
  {
    name: 'with nothing stored a whole answer to a condition is stored',
    exchanges: [
      first(
        { 'Cache-Control': lasting, ...tagged },
        { fields: { 'If-None-Match': '"mine"' }, sent: { 'if-none-match': '"mine"' } },
      ),
      reused(),
    ],
  },
];

/** A field before and in the 304, and what is to come of it. */
type Update = readonly [name: string, before: string, in304: string | undefined, after: string];

const updates: readonly Update[] = [
  ['Test-Header', 'a', undefined, 'a'],
  ['Test-Header', 'a', 'b', 'b'],
  ['X-Test-Header', 'a', 'b', 'b'],
  ['Content-Foo', 'a', 'b', 'b'],
  ['X-Content-Foo', 'a', 'b', 'b'],
  ['Cache-Control', 'max-age=10', 'max-age=3600', 'max-age=3600'],
  ['Content-Security-Policy', "default-src 'self'", "default-src 'none'", "default-src 'none'"],
  ['Content-Type', 'text/plain', 'text/plain;charset=utf-8', 'text/plain;charset=utf-8'],
  ['Content-Location', '/foo', '/bar', '/bar'],
  ['Content-MD5', 'a', 'b', 'b'],
  ['Expires', 'Fri, 01 Jan 2038 01:01:01 GMT', 'Mon, 11 Jan 2038 11:11:11 GMT', 'Mon, 11 Jan 2038 11:11:11 GMT'],
  ['Clear-Site-Data', 'cache', 'cookies', 'cookies'],
  ['Set-Cookie', 'a=b', 'a=c', 'a=c'],
  ['X-Frame-Options', 'deny', 'sameorigin', 'sameorigin'],
  // Of the content that is stored, not of a 304 (RFC 9111 §3.2).
  ['Content-Encoding', 'a', 'b', 'a'],
  ['Content-Range', 'a', 'b', 'a'],
];

const merged: readonly CachingCase[] = [
  ...updates.map(([name, before, in304, after]): CachingCase => {
    const expect: Expected = { [name]: after, 'cache-control': /^/, date: /^/, age: /^/ };
    const said: Fields = in304 === undefined ? {} : { [name]: in304 };
    return {
      name: `${name}: '${before}' and ${in304 === undefined ? 'nothing' : `'${in304}'`} in a 304 is '${after}', now and later`,
      exchanges: [
        first({ ...expired, ...tagged, [name]: before }),
        {
          from: 'validated',
          origin: notModified({ 'Cache-Control': lasting, ...tagged, ...said }),
          expect: { ...expect, age: null },
        },
        reused({ expect }),
      ],
    };
  }),
  {
    name: 'Content-Length of a 304 is not that of what is stored',
    exchanges: [
      first({ ...expired, ...tagged }, { answer: { content: 'x'.repeat(36) } }),
      {
        from: 'validated',
        origin: notModified({ ...tagged, 'Cache-Control': lasting, 'Content-Length': '10' }),
        expect: { 'content-length': '36' },
      },
      reused({ expect: { 'content-length': '36', 'cache-control': lasting } }),
    ],
  },
  {
    name: 'a 304 without a lifetime of its own gives that of what is stored anew',
    exchanges: [
      first({ ...expired, ...tagged }),
      { from: 'validated', origin: notModified(tagged) },
      reused({ cacheStatus: /; ttl=(?:10|[1-9]);/ }),
    ],
  },
  {
    name: 'lines of a field that is in the 304 are all replaced',
    exchanges: [
      first({ ...expired, ...tagged, 'X-A': ['1', '2', '3'] }),
      { from: 'validated', origin: notModified({ ...tagged, 'X-A': ['4', '5'] }), expect: { 'x-a': '4, 5' } },
    ],
  },
];

testCaching({
  "a client's condition is answered from what is fresh (RFC 9111 §4.3.2)": fromStore,
  'conditions go upstream (RFC 9111 §4.3.1)': upstream,
  'a 304 updates what is stored (RFC 9111 §3.2, §4.3.4)': merged,
});
