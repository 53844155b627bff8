import {
  askedAgain,
  type CachingCase,
  type Fields,
  first,
  pastOneSecondMs,
  reused,
  testCaching,
} from '../support/caching-script.ts';

/** Stale as it comes, and stored, since it has a validator. */
const stale = (directives = ''): Fields => ({ 'Cache-Control': `max-age=10${directives}`, Age: '20', ETag: '"a"' });
const closed = { close: true };
const failed = (status: number) => ({ status, fields: { 'X-Failed': '1' } });

const behind: readonly CachingCase[] = [
  {
    name: 'what is stale within its window is answered at once, asked about once behind it, and then fresh',
    exchanges: [
      first(stale(', stale-while-revalidate=3600')),
      reused({
        origin: { fields: { 'Cache-Control': 'max-age=3600', ETag: '"b"' } },
        cacheStatus: /^forecache; hit; ttl=-\d+; detail=memory$/,
        background: 1,
      }),
      reused({ afterAsked: 2, of: 2, until: /; hit; ttl=3\d{3};/ }),
    ],
  },
  {
    name: 'what is stale beyond its window is asked about first',
    exchanges: [first(stale(', stale-while-revalidate=5')), askedAgain()],
  },
  {
    name: 'a window that Age has used up is over',
    exchanges: [
      first({ 'Cache-Control': 'max-age=10, stale-while-revalidate=10', Age: '21', ETag: '"a"' }),
      askedAgain(),
    ],
  },
  {
    name: 'must-revalidate closes the window',
    exchanges: [first(stale(', must-revalidate, stale-while-revalidate=3600')), askedAgain()],
  },
  {
    name: 'no-cache closes the window',
    exchanges: [first(stale(', no-cache, stale-while-revalidate=3600')), askedAgain()],
  },
  {
    name: 'a client that wants max-age=0 is not answered from the window',
    exchanges: [
      first(stale(', stale-while-revalidate=3600')),
      askedAgain({ fields: { 'Cache-Control': 'max-age=0' } }),
    ],
  },
];

/** RFC 9111 §4.2.4: a cache that is disconnected may serve what is stale, unless this forbids it. */
const forbidding = ['must-revalidate', 'proxy-revalidate', 's-maxage=1', 'no-cache'];

const failing: readonly CachingCase[] = [
  {
    name: 'what is stale is served where upstream closes the connection, with nothing said of it',
    exchanges: [
      // Without a validator it is stored only while it is fresh, which it must be still when it comes.
      first({ 'Cache-Control': 'max-age=2' }),
      {
        from: 'stored-after-failure',
        waitMs: pastOneSecondMs + 1000,
        origin: closed,
        cacheStatus: /^forecache; .*stale-error/,
        expect: { age: /^[1-9]/ },
      },
    ],
  },
  {
    name: 'what is stale and has a validator is served where upstream closes the connection',
    exchanges: [first(stale()), { from: 'stored-after-failure', origin: closed }],
  },
  {
    name: 'what is stale is served where upstream closes the connection, with stale-if-error',
    exchanges: [first(stale(', stale-if-error=60')), { from: 'stored-after-failure', origin: closed }],
  },
  ...[500, 502, 503, 504].map((status): CachingCase => ({
    name: `what is stale within stale-if-error is served instead of ${status}`,
    exchanges: [
      first(stale(', stale-if-error=60')),
      { from: 'stored-after-failure', origin: failed(status), expect: { 'x-failed': null } },
    ],
  })),
  {
    name: 'what is stale beyond stale-if-error is not served instead of 503',
    exchanges: [first(stale(', stale-if-error=5')), askedAgain({ origin: failed(503) })],
  },
  {
    name: 'what is stale is not served instead of a 503 where nobody allows it',
    exchanges: [first(stale()), askedAgain({ origin: failed(503) })],
  },
  {
    name: 'what is stale within stale-if-error is not served instead of a 404',
    exchanges: [first(stale(', stale-if-error=60')), askedAgain({ origin: failed(404) })],
  },
  {
    name: 'what is fresh is served without asking, whatever upstream would do',
    exchanges: [first({ 'Cache-Control': 'max-age=3600' }), reused({ origin: closed })],
  },
  ...forbidding.flatMap((directive): CachingCase[] => [
    {
      name: `${directive} forbids it: with upstream gone the answer is the proxy's own`,
      exchanges: [
        first(stale(`, ${directive}`)),
        { from: 'proxy', origin: closed, status: 504, expect: { etag: null, 'cache-control': /^(?!.*max-age)/ } },
      ],
    },
    {
      name: `${directive} forbids it, stale-if-error or not`,
      exchanges: [
        first(stale(`, stale-if-error=3600, ${directive}`)),
        { from: 'proxy', origin: closed, status: 504, expect: { etag: null } },
      ],
    },
    {
      name: `${directive} forbids it: the 503 of upstream is passed on`,
      exchanges: [first(stale(`, stale-if-error=3600, ${directive}`)), askedAgain({ origin: failed(503) })],
    },
  ]),
  {
    name: 'with nothing stored and upstream gone the answer is 502, with nothing of upstream in it',
    exchanges: [{ from: 'proxy', origin: closed, status: 502, cacheStatus: /^forecache; / }],
  },
];

testCaching({
  'stale-while-revalidate (RFC 5861 §3)': behind,
  'stale answers after a failure (RFC 9111 §4.2.4, RFC 5861 §4)': failing,
});
