import { Agent } from 'node:http';

import * as fc from 'fast-check';
import { expect, it } from 'vitest';

import { version } from '../../src/version.ts';
import { ask } from '../support/http.ts';
import { answer, type Origin, startOrigin } from '../support/origin.ts';
import { startTestProxy, type TestProxy } from '../support/proxy.ts';
import { Dice } from '../support/spellings.ts';

const yaml = (origin: Origin): string => `
server: { listen: 127.0.0.1:0 }
admin: { listen: 127.0.0.1:0 }
log: { level: silent }
upstreams:
  keyed: { origin: "${origin.url}", credentials: { query: { apikey: KEY, Token: "" }, headers: { x-api-key: KEY } } }
  plain: { origin: "${origin.url}", fields: { x-static: here } }
routes:
  - { name: kept, match: /kept, upstream: keyed, ttl: 1h, headers: [accept, x-tenant], ignore: [_] }
  - { name: rejecting, match: /rejecting, upstream: keyed, ttl: 1h, unknownQuery: reject, query: { n: { type: integer, default: 5 } } }
  - name: typed
    match: /typed/:place/*
    forward: /v1/{place}/{0}
    upstream: plain
    ttl: 1h
    headers: [user-agent, accept-language]
    pathParams: { place: { type: text, fold: true } }
    query:
      n: { type: integer, default: 5 }
      s: { type: set, fold: true, repeat: true }
      b: { type: boolean, as: [yes, no] }
      t: { type: text, alias: [a], secret: true }
  - { name: raw, match: /raw/*, upstream: plain, upstreamCacheControl: honour, forwardHeaders: x-none, headers: accept }
  - { name: honoured, match: /honoured, upstream: keyed, upstreamCacheControl: honour, forwardHeaders: x-none }
`;

interface Sent {
  readonly path: string;
  readonly query: string | undefined;
  readonly fields: Readonly<Record<string, string[]>>;
}

const paths: readonly (readonly string[])[] = [
  ['/kept'],
  ['/rejecting'],
  [
    '/typed/berlin/x',
    '/typed/BERLIN/x',
    '/typed/%42erlin/x',
    '/typed/berlin%20/x',
    '/typed/berlin/X',
    '/typed/lima/x%2Fy',
  ],
  ['/raw/', '/raw/a', '/raw/%61', '/raw/a/'],
  ['/honoured'],
];

const names = [
  '',
  ...'apikey APIKEY %61pikey +apikey %20apikey apikey+ apikey%09 apikey%C2%A0 api+key apikey%00 ;apikey'.split(' '),
  ...'token TOKEN%20 _ %5F _+ n N +n %6E s b t a x %FF %ff %FE'.split(' '),
];
const values = [
  '',
  ...'1 01 %2B1 5 2 a A a,b b,a b%2Ca yes true 0 NO + %20 %FF %ff %C3%A9 e%CC%81'.split(' '),
  ..."a;apikey=2 | || |accept=a %7C %23 = ' []".split(' '),
];
const keyedFields: Readonly<Record<string, readonly string[][]>> = {
  accept: [['*/*'], ['a'], [''], ['a, b'], ['a', 'b'], ['|x-tenant=a'], ['\u00e9'], ['%C3%A9']],
  'x-tenant': [['a'], ['A'], [''], ['a|accept=b']],
  'user-agent': [[`forecache/${version}`], ['x'], ['']],
  'accept-language': [['de'], ['de,en'], ['de', 'en'], ['']],
};
/** What must change nothing: neither keyed nor forwarded. */
const noise: Readonly<Record<string, readonly string[][]>> = {
  'x-forwarded-for': [['1.2.3.4']],
  'x-api-key': [['mine']],
  'x-static': [['mine']],
  'accept-encoding': [['gzip'], ['br;q=0.5']],
  'cache-control': [['max-age=5']],
  range: [['bytes=0-1']],
  'if-none-match': [['"1"']],
  'x-http-method-override': [['POST']],
  te: [['trailers']],
  referer: [['http://a/']],
};

function pairsOf(dice: Dice): string {
  const pairs = Array.from({ length: dice.roll(4) }, () => {
    const name = dice.pick(names);
    return dice.chance(8) ? name : `${name}=${dice.pick(values)}`;
  });
  return pairs.join('&');
}

function fieldsOf(dice: Dice): Record<string, string[]> {
  const fields: Record<string, string[]> = {};
  for (const [from, oneIn] of [[keyedFields, 3] as const, [noise, 6] as const]) {
    for (const [name, choices] of Object.entries(from)) {
      if (dice.chance(oneIn)) fields[name] = [...dice.pick(choices)];
    }
  }
  return fields;
}

function sentOf(dice: Dice, family: readonly string[]): Sent {
  return { path: dice.pick(family), query: dice.chance(8) ? undefined : pairsOf(dice), fields: fieldsOf(dice) };
}

/** The same request with one thing changed, perhaps to what means the same. */
function near(dice: Dice, sent: Sent, family: readonly string[]): Sent {
  const other = sentOf(dice, family);
  const { query = '' } = sent;
  const piece = `${dice.pick(names)}=${dice.pick(values)}`;
  const name = dice.pick([...Object.keys(keyedFields), ...Object.keys(noise)]);
  const choices = keyedFields[name] ?? noise[name] ?? [];
  return dice.pick([
    { ...sent, path: other.path },
    smuggled(sent),
    { ...sent, query: `${query}&${piece}` },
    { ...sent, query: `${piece}&${query}` },
    { ...sent, query: query.split('&').toReversed().join('&') },
    { ...sent, query: query === '' ? undefined : `${query}&` },
    { ...sent, query: query.replaceAll(/%[0-9a-f]{2}/gi, (escape) => escape.toLowerCase()) },
    { ...sent, fields: { ...sent.fields, [name]: [...dice.pick(choices)] } },
    { ...sent, fields: Object.fromEntries(Object.entries(sent.fields).toReversed()) },
    { ...sent, fields: Object.fromEntries(Object.entries(sent.fields).filter(([one]) => one !== name)) },
  ]);
}

/** Its `Accept` written at the end of the query, as a key has it. */
function smuggled(sent: Sent): Sent {
  const { accept = [], ...fields } = sent.fields;
  return { ...sent, query: `${sent.query ?? ''}|accept=${encodeURIComponent(accept.join(', '))}`, fields };
}

interface Seen {
  readonly key: string | undefined;
  /** `undefined` where the proxy refused it. */
  readonly head: string | undefined;
}

/** What a request is keyed as, and what upstream gets of it, byte for byte. */
async function see(sent: Sent, agent: Agent, { origin, proxy }: { origin: Origin; proxy: TestProxy }): Promise<Seen> {
  const url = sent.query === undefined ? sent.path : `${sent.path}?${sent.query}`;
  const headers = Object.fromEntries(Object.entries(sent.fields).map(([name, lines]) => [name, lines.join(', ')]));
  const explained = await ask(proxy.admin, '/api/explain', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ url, headers }),
    agent,
  });
  const before = origin.requests.length;
  const reply = await ask(proxy.origin, url, { headers: sent.fields, agent });
  const key: unknown = JSON.parse(explained.text).key;
  if (explained.status !== 200) throw new Error(`${explained.text} ${JSON.stringify(sent)}`);
  const came = origin.requests.slice(before);
  expect([reply.status, came.length]).toEqual(typeof key === 'string' ? [500, 1] : [400, 0]);
  return { key: typeof key === 'string' ? key : undefined, head: came[0]?.rawHead };
}

/**
 * The head without what asks for a part or a confirmation of what the key names. Where upstream is in charge (`honour`) a
 * client's own goes there when nothing is stored, and what comes of it is for that request alone.
 */
function unconditional(head: string | undefined): string | undefined {
  if (head === undefined || !/^GET \/(?:raw|honoured)\b/.test(head)) return head;
  return head.replaceAll(/^(?:if-none-match|if-modified-since|if-range|range):.*\r\n/gm, '');
}

it('over 2,000 pairs of requests, equal keys and byte-equal heads upstream are one', { timeout: 180_000 }, async () => {
  // An error is never stored: each request goes upstream.
  await using origin = await startOrigin(answer(500));
  await using proxy = await startTestProxy({ yaml: yaml(origin) });
  const agent = new Agent({ keepAlive: true });
  const tally = { equal: 0, different: 0, refused: 0 };
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 0 }), async (seed) => {
      const dice = new Dice(seed);
      for (let pair = 0; pair < 20; pair += 1) {
        const family = dice.pick(paths);
        const sent = sentOf(dice, family);
        const other = near(dice, sent, family);
        const [a, b] = [await see(sent, agent, { origin, proxy }), await see(other, agent, { origin, proxy })];
        if (a.key === undefined || b.key === undefined) {
          tally.refused += 1;
          continue;
        }
        tally[a.key === b.key ? 'equal' : 'different'] += 1;
        if ((a.key === b.key) !== (unconditional(a.head) === unconditional(b.head)))
          throw new Error(JSON.stringify([sent, other, a, b], null, 1));
      }
    }),
    { seed: 4, numRuns: 110 },
  );
  agent.destroy();
  expect(tally.equal + tally.different + tally.refused).toBeGreaterThanOrEqual(2000);
  expect(tally.equal).toBeGreaterThan(400);
  expect(tally.different).toBeGreaterThan(400);
});

it('a client’s own credential, however its name is spelt, is in no key, listing or URL', async () => {
  await using origin = await startOrigin(answer(200));
  await using proxy = await startTestProxy({ yaml: yaml(origin) });
  const spellings = ['apikey', 'APIKEY', '%20apikey', 'apikey+', 'apikey%09', '%C2%A0api%6Bey', 'token', '+Token'];
  for (const name of spellings) await proxy.get(`/kept?x=1&${name}=LEAK`);
  expect(origin.requests.map((request) => request.target)).toEqual(['/kept?x=1&apikey=KEY']);
  const listed = await proxy.call('GET', '/api/stored');
  expect(listed.body).toMatchObject({
    stored: [{ key: 'kept|/kept?x=1', url: '/kept?x=1', hits: spellings.length - 1 }],
  });
});
