import { askedAgain, at, type CachingCase, first, reused, testCaching, ttlUpTo } from '../support/caching-script.ts';

const answered = [
  200, 203, 204, 299, 301, 302, 303, 307, 308, 400, 403, 404, 405, 410, 414, 451, 499, 500, 501, 502, 503, 504, 599,
  999,
];

const explicit: readonly CachingCase[] = answered.flatMap((status) => [
  {
    name: `${status} with a lifetime is stored and comes again as it was`,
    exchanges: [first({ 'Cache-Control': 'max-age=3600', Location: '/x' }, { answer: { status } }), reused()],
  },
  {
    name: `${status} whose lifetime is over is not used again`,
    exchanges: [
      first({ Date: at(0), Expires: at(-5000), 'Last-Modified': at(-100_000) }, { answer: { status } }),
      askedAgain({ origin: { status } }),
    ],
  },
]);

/** RFC 9110 §15.1: heuristically cacheable. */
const heuristically = [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501];
const onlyExplicitly = [201, 202, 302, 307, 400, 403, 500, 502, 503, 504, 599];
const day = 86_400;

const heuristic: readonly CachingCase[] = [
  ...heuristically.map((status): CachingCase => ({
    name: `${status} without a lifetime has a tenth of the time since Last-Modified`,
    exchanges: [
      first({ 'Last-Modified': at(-day), Date: at(0) }, { answer: { status } }),
      reused({ cacheStatus: ttlUpTo(day / 10) }),
    ],
  })),
  ...onlyExplicitly.flatMap((status): CachingCase[] => [
    {
      name: `${status} without a lifetime has none`,
      exchanges: [
        first({ 'Last-Modified': at(-day), Date: at(0) }, { answer: { status } }),
        askedAgain({ origin: { status } }),
      ],
    },
    {
      name: `${status} with public has a tenth of the time since Last-Modified`,
      exchanges: [
        first({ 'Last-Modified': at(-day), Date: at(0), 'Cache-Control': 'public' }, { answer: { status } }),
        reused(),
      ],
    },
  ]),
  {
    name: 'without Last-Modified there is no lifetime',
    exchanges: [first({ Date: at(0), ETag: '"a"' }), askedAgain()],
  },
  {
    name: 'a Last-Modified that is no date gives no lifetime',
    exchanges: [first({ Date: at(0), 'Last-Modified': 'yesterday' }), askedAgain()],
  },
  {
    name: 'a Last-Modified later than Date gives no lifetime',
    exchanges: [first({ Date: at(-100), 'Last-Modified': at(0) }), askedAgain()],
  },
  {
    name: 'Expires that is no date counts as past: nothing is guessed beside it',
    exchanges: [first({ Date: at(0), 'Last-Modified': at(-day), Expires: '0' }), askedAgain()],
  },
  {
    name: 'the lifetime that is guessed is a day at most',
    exchanges: [first({ Date: at(0), 'Last-Modified': at(-1000 * day) }), reused({ cacheStatus: ttlUpTo(day) })],
  },
];

testCaching({
  'every final status is stored that says how long it is fresh (RFC 9111 §3)': explicit,
  'a lifetime is guessed where the status allows (RFC 9111 §4.2.2)': heuristic,
});
