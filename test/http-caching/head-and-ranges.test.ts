import { askedAgain, type CachingCase, type Fields, first, reused, testCaching } from '../support/caching-script.ts';

const lasting = 'max-age=3600';
const digits = '0123456789A';

const outdated: Fields = { 'Cache-Control': 'max-age=10', Age: '20', ETag: '"a"' };

const heads: readonly CachingCase[] = [
  {
    name: 'HEAD is answered from a fresh GET, with its Content-Length and without content',
    exchanges: [
      first({ 'Cache-Control': lasting, ETag: '"a"' }, { answer: { content: digits } }),
      reused({ method: 'HEAD', expect: { 'content-length': '11', etag: '"a"' } }),
    ],
  },
  {
    name: 'HEAD with nothing stored goes upstream as HEAD and is not stored',
    exchanges: [
      first({ 'Cache-Control': lasting }, { method: 'HEAD', sentMethod: 'HEAD' }),
      askedAgain({ method: 'HEAD', sentMethod: 'HEAD' }),
      askedAgain({ sentMethod: 'GET' }),
    ],
  },
  {
    name: 'HEAD of what is stale goes upstream as HEAD',
    exchanges: [
      first({ 'Cache-Control': 'max-age=10', Age: '20', ETag: '"a"' }),
      askedAgain({ method: 'HEAD', sentMethod: 'HEAD', origin: { fields: { ETag: '"a"' } } }),
    ],
  },
  {
    name: 'the answer to HEAD makes the stored answer fresh again where it is the same',
    exchanges: [
      first({ 'Cache-Control': 'max-age=10', Age: '20', ETag: '"a"', 'X-A': '1' }, { answer: { content: digits } }),
      askedAgain({
        method: 'HEAD',
        origin: { fields: { 'Cache-Control': lasting, ETag: '"a"', 'X-A': '2' }, content: digits },
      }),
      reused({ of: 1, expect: { 'x-a': '2', 'cache-control': lasting } }),
    ],
  },
  {
    name: 'the answer to HEAD with another entity tag makes the stored answer invalid',
    exchanges: [
      first(outdated, { answer: { content: digits } }),
      askedAgain({ method: 'HEAD', origin: { fields: { 'Cache-Control': lasting, ETag: '"b"' }, content: digits } }),
      askedAgain({ sent: { 'if-none-match': null } }),
    ],
  },
  {
    name: 'the answer to HEAD with another length makes the stored answer invalid',
    exchanges: [
      first(outdated, { answer: { content: digits } }),
      askedAgain({ method: 'HEAD', origin: { fields: { 'Cache-Control': lasting, ETag: '"a"' }, content: 'other' } }),
      askedAgain({ sent: { 'if-none-match': null } }),
    ],
  },
  {
    name: 'the answer to HEAD with a Vary that is new makes the stored answer invalid: it was for one of the variants',
    exchanges: [
      first(outdated, { answer: { content: digits }, fields: { 'Accept-Language': 'en' } }),
      askedAgain({
        method: 'HEAD',
        fields: { 'Accept-Language': 'en' },
        origin: { fields: { 'Cache-Control': lasting, ETag: '"a"', Vary: 'Accept-Language' }, content: digits },
      }),
      askedAgain({ fields: { 'Accept-Language': 'de' }, sent: { 'if-none-match': null } }),
    ],
  },
  ...[{ ETag: '"a"' }, { ETag: 'W/"a"' }].map((validator): CachingCase => ({
    name: `a 304 to a condition of a HEAD makes the stored answer fresh again where it names that: ${validator.ETag} (RFC 9111 §4.3.4)`,
    exchanges: [
      first({ ...outdated, 'X-A': '1' }, { answer: { content: digits } }),
      askedAgain({
        method: 'HEAD',
        sentMethod: 'HEAD',
        fields: { 'If-None-Match': '"a"' },
        origin: { status: 304, fields: { 'Cache-Control': lasting, 'X-A': '2', ...validator } },
      }),
      reused({ of: 1, expect: { 'x-a': '2', 'cache-control': lasting, etag: validator.ETag } }),
    ],
  })),
  ...[{ ETag: '"b"' }, {}].map((validator): CachingCase => ({
    name: `a 304 to a condition of a HEAD changes nothing where it may be about something else: ${JSON.stringify(validator)}`,
    exchanges: [
      first(outdated, { answer: { content: digits } }),
      askedAgain({
        method: 'HEAD',
        sentMethod: 'HEAD',
        fields: { 'If-None-Match': '"b"' },
        origin: { status: 304, fields: { 'Cache-Control': lasting, ...validator } },
      }),
      askedAgain({ sent: { 'if-none-match': '"a"' } }),
    ],
  })),
  {
    name: 'HEAD within stale-while-revalidate is answered from what is stale',
    exchanges: [
      first(
        { 'Cache-Control': 'max-age=10, stale-while-revalidate=3600', Age: '20', ETag: '"a"' },
        { answer: { content: digits } },
      ),
      reused({
        method: 'HEAD',
        origin: { fields: { 'Cache-Control': lasting }, content: 'refreshed' },
        background: 1,
        expect: { 'content-length': '11' },
      }),
      reused({ afterAsked: 2, of: 2, until: /; hit; ttl=3\d{3};/ }),
    ],
  },
];

type Row = readonly [range: string, part: string, contentRange: string];

const parts: readonly Row[] = [
  ['bytes=0-1', '01', 'bytes 0-1/11'],
  ['bytes=1-', '123456789A', 'bytes 1-10/11'],
  ['bytes=-1', 'A', 'bytes 10-10/11'],
  ['bytes=-100', digits, 'bytes 0-10/11'],
  ['bytes=5-100', '56789A', 'bytes 5-10/11'],
  ['BYTES=0-1', '01', 'bytes 0-1/11'],
];

const whole = ['bytes=', 'bytes=a-b', 'bytes=5-1', 'lines=0-1', 'bytes 0-1', 'bytes=0-1,3-4'];

const fresh: Fields = { 'Cache-Control': lasting, ETag: '"a"', 'X-A': '1' };

const ranges: readonly CachingCase[] = [
  ...parts.map(([range, part, contentRange]): CachingCase => ({
    name: `${range} is cut from the stored answer`,
    exchanges: [
      first(fresh, { answer: { content: digits } }),
      reused({
        fields: { Range: range },
        status: 206,
        expectContent: part,
        expect: { 'content-range': contentRange, 'content-length': String(part.length), 'x-a': '1', etag: '"a"' },
      }),
    ],
  })),
  ...whole.map((range): CachingCase => ({
    name: `${range} is no single range: the whole answer comes from store`,
    exchanges: [first(fresh, { answer: { content: digits } }), reused({ fields: { Range: range } })],
  })),
  {
    name: 'a range beyond the stored answer is 416, with its length',
    exchanges: [
      first(fresh, { answer: { content: digits } }),
      reused({ fields: { Range: 'bytes=11-' }, status: 416, expect: { 'content-range': 'bytes */11' } }),
    ],
  },
  {
    name: 'If-Range with its entity tag gets the part',
    exchanges: [
      first(fresh, { answer: { content: digits } }),
      reused({ fields: { Range: 'bytes=0-1', 'If-Range': '"a"' }, status: 206, expectContent: '01' }),
    ],
  },
  ...['"b"', 'W/"a"', 'Wed, 01 Jan 2020 00:00:00 GMT'].map((condition): CachingCase => ({
    name: `If-Range with ${condition} gets the whole`,
    exchanges: [
      first(fresh, { answer: { content: digits } }),
      reused({ fields: { Range: 'bytes=0-1', 'If-Range': condition } }),
    ],
  })),
  {
    name: 'If-None-Match that matches comes before Range',
    exchanges: [
      first(fresh, { answer: { content: digits } }),
      reused({ fields: { Range: 'bytes=0-1', 'If-None-Match': '"a"' }, status: 304 }),
    ],
  },
  {
    name: 'with nothing stored Range goes upstream, and its 206 to the client, which is not stored as a whole',
    exchanges: [
      {
        from: 'upstream',
        fields: { Range: 'bytes=-5' },
        sent: { range: 'bytes=-5' },
        origin: {
          status: 206,
          fields: { 'Cache-Control': lasting, 'Content-Range': 'bytes 5-9/10' },
          content: '56789',
        },
        expect: { 'content-range': 'bytes 5-9/10' },
      },
      askedAgain({ sent: { range: null } }),
    ],
  },
  {
    name: 'a 206 whose Content-Range does not tell its length is passed on and not stored',
    exchanges: [
      {
        from: 'upstream',
        fields: { Range: 'bytes=-5' },
        origin: {
          status: 206,
          fields: { 'Cache-Control': lasting, 'Content-Range': 'bytes 4-9/10' },
          content: '01234',
        },
      },
      askedAgain({
        fields: { Range: 'bytes=-5' },
        origin: { status: 206, fields: { 'Content-Range': 'bytes 4-9/10' }, content: '01234' },
      }),
    ],
  },
  {
    name: 'with nothing stored the 416 of upstream is passed on and not stored',
    exchanges: [
      {
        from: 'upstream',
        fields: { Range: 'bytes=100-' },
        origin: { status: 416, fields: { 'Cache-Control': lasting, 'Content-Range': 'bytes */10' } },
      },
      askedAgain(),
    ],
  },
  {
    name: 'a whole answer to Range is stored, and the part cut from it',
    exchanges: [
      first(
        { 'Cache-Control': lasting },
        {
          fields: { Range: 'bytes=0-1' },
          sent: { range: 'bytes=0-1' },
          answer: { content: digits },
          status: 206,
          expectContent: '01',
        },
      ),
      reused(),
    ],
  },
  {
    name: 'a whole answer to Range that may not be stored is passed on',
    exchanges: [
      first({ 'Cache-Control': 'no-store' }, { fields: { Range: 'bytes=0-1' }, answer: { content: digits } }),
    ],
  },
  {
    name: 'a part is cut from what a 304 made fresh again',
    exchanges: [
      first({ 'Cache-Control': 'max-age=10', Age: '20', ETag: '"a"' }, { answer: { content: digits } }),
      {
        from: 'validated',
        fields: { Range: 'bytes=0-1' },
        sent: { 'if-none-match': '"a"' },
        origin: { status: 304, fields: { ETag: '"a"', 'Cache-Control': lasting } },
        status: 206,
        expectContent: '01',
        expect: { 'content-range': 'bytes 0-1/11' },
      },
    ],
  },
];

testCaching({
  'HEAD (RFC 9110 §9.3.2, RFC 9111 §4.3.5)': heads,
  'Range (RFC 9110 §14, RFC 9111 §3.3)': ranges,
});
