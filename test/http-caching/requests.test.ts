import { askedAgain, type CachingCase, type Fields, first, reused, testCaching } from '../support/caching-script.ts';

const aged: Fields = { 'Cache-Control': 'max-age=3600', Age: '600' };
const stale: Fields = { 'Cache-Control': 'max-age=3600', Age: '3700', ETag: '"a"' };

const directives: readonly CachingCase[] = [
  ...['max-age=0', 'max-age=599', 'min-fresh=3001', 'no-cache', 'NO-CACHE'].map((value): CachingCase => ({
    name: `${value}: what is stored does not serve`,
    exchanges: [
      first(aged),
      askedAgain({
        fields: { 'Cache-Control': value },
        sent: { 'cache-control': value },
        cacheStatus: /^forecache; fwd=request/,
      }),
    ],
  })),
  ...[
    'max-age=601',
    'max-age=3600',
    'min-fresh=2990',
    'max-stale',
    'max-stale=10',
    'only-if-cached',
    'nothing-to-see-here',
    'x="no-cache"',
  ].map((value): CachingCase => ({
    name: `${value}: what is stored serves`,
    exchanges: [first(aged), reused({ fields: { 'Cache-Control': value } })],
  })),
  {
    name: 'max-stale takes what is stale by less',
    exchanges: [first(stale), reused({ fields: { 'Cache-Control': 'max-stale=1000' }, cacheStatus: /; ttl=-1\d\d;/ })],
  },
  {
    name: 'max-stale without a number takes whatever is stale',
    exchanges: [first(stale), reused({ fields: { 'Cache-Control': 'max-stale' } })],
  },
  {
    name: 'max-stale does not take what is stale by more',
    exchanges: [first(stale), askedAgain({ fields: { 'Cache-Control': 'max-stale=10' } })],
  },
  {
    name: 'max-stale does not take what must be validated',
    exchanges: [
      first({ ...stale, 'Cache-Control': 'max-age=3600, must-revalidate' }),
      askedAgain({ fields: { 'Cache-Control': 'max-stale' } }),
    ],
  },
  {
    name: 'no-store: the answer is not stored',
    exchanges: [first({ 'Cache-Control': 'max-age=3600' }, { fields: { 'Cache-Control': 'no-store' } }), askedAgain()],
  },
  {
    name: 'only-if-cached with nothing stored is 504, and nobody is asked',
    exchanges: [
      {
        from: 'proxy',
        fields: { 'Cache-Control': 'only-if-cached' },
        status: 504,
        cacheStatus: 'forecache; detail=not-stored',
      },
      askedAgain(),
    ],
  },
  {
    name: 'only-if-cached with what is stale is 504',
    exchanges: [first(stale), { from: 'proxy', fields: { 'Cache-Control': 'only-if-cached' }, status: 504 }],
  },
];

const link = '</styles.css>; rel=preload; as=style';
const hints = [103, { link, 'x-my-header': 'test' }] as const;
const lasting: Fields = { 'Cache-Control': 'max-age=100000' };

const interim: readonly CachingCase[] = [
  {
    name: '102 reaches the client, and the final answer is stored',
    exchanges: [first(lasting, { answer: { interim: [[102, {}]] }, interim: [[102, {}]] }), reused({ interim: [] })],
  },
  {
    name: '103 reaches the client with its fields, which are not those of the final answer',
    exchanges: [
      first(lasting, { answer: { interim: [hints] }, interim: [hints], expect: { 'x-my-header': null, link: null } }),
      reused({ interim: [], expect: { 'x-my-header': null, link: null } }),
    ],
  },
  {
    name: 'several interim responses reach the client in order',
    exchanges: [
      first(
        {},
        {
          answer: { interim: [[102, {}], hints, [103, { link: '</b>' }]] },
          interim: [[102, {}], hints, [103, { link: '</b>' }]],
        },
      ),
    ],
  },
  {
    name: 'an interim status that nobody knows reaches the client',
    exchanges: [first({}, { answer: { interim: [[199, { 'x-a': '1' }]] }, interim: [[199, { 'x-a': '1' }]] })],
  },
  {
    name: 'an interim response to a relayed method reaches the client',
    exchanges: [
      {
        from: 'upstream',
        method: 'POST',
        content: 'abc',
        origin: { interim: [hints] },
        interim: [hints],
        expect: { 'x-my-header': null },
      },
    ],
  },
  {
    name: 'an interim response before a 304 reaches the client',
    exchanges: [
      first({ 'Cache-Control': 'max-age=10', Age: '20', ETag: '"a"' }),
      { from: 'validated', origin: { status: 304, fields: { ETag: '"a"' }, interim: [hints] }, interim: [hints] },
    ],
  },
];

const labels: readonly CachingCase[] = [
  {
    name: 'says of a miss why, and that it was stored; of a hit how long it is fresh, and from where it came',
    exchanges: [
      first({ 'Cache-Control': 'max-age=3600' }, { cacheStatus: 'forecache; fwd=uri-miss; stored' }),
      reused({ cacheStatus: /^forecache; hit; ttl=3\d{3}; detail=memory$/ }),
    ],
  },
  {
    name: 'says why an answer was not stored',
    exchanges: [first({ 'Cache-Control': 'private' }, { cacheStatus: 'forecache; fwd=uri-miss; detail=private' })],
  },
  {
    name: 'says of a relayed method that it was the method',
    exchanges: [{ from: 'upstream', method: 'POST', content: 'abc', cacheStatus: /^forecache; fwd=method/ }],
  },
  {
    name: 'stands behind what a cache upstream said, in the answer and from store',
    exchanges: [
      first(
        { 'Cache-Control': 'max-age=3600', 'Cache-Status': 'other; hit; ttl=5' },
        { cacheStatus: 'other; hit; ttl=5, forecache; fwd=uri-miss; stored' },
      ),
      reused({ cacheStatus: /^other; hit; ttl=5, forecache; hit; ttl=\d+; detail=memory$/ }),
    ],
  },
  {
    name: 'says of what is stale that it was, and what upstream said',
    exchanges: [
      first(stale),
      {
        from: 'validated',
        origin: { status: 304, fields: { ETag: '"a"' } },
        cacheStatus: /^forecache; fwd=stale; fwd-status=304(; |$)/,
      },
    ],
  },
];

testCaching({
  "a client's Cache-Control (RFC 9111 §5.2.1)": directives,
  'interim responses (RFC 9110 §15.2)': interim,
  'Cache-Status (RFC 9211)': labels,
});
