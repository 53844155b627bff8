import { gzipSync } from 'node:zlib';
import { expect, it, onTestFinished } from 'vitest';

import type { Explanation } from '../../src/cache/operations.ts';
import type { Reply } from '../support/http.ts';
import { answer, startOrigin } from '../support/origin.ts';
import { startTestProxy } from '../support/proxy.ts';
import { StillClock } from '../support/still-clock.ts';

type Fields = Readonly<Record<string, string>>;
/** What becomes of the coding: it is taken off, it stays on, the answer is refused; of what has no content nothing is told. */
type Fate = 'off' | 'on' | 'refused' | 'untold';
type Asked = { readonly method?: string; readonly headers?: Fields };

const yaml = (origin: string): string => `
server: { listen: 127.0.0.1:0 }
admin: { listen: 127.0.0.1:0 }
log: { level: silent }
upstreams:
  keyed: { origin: "${origin}", credentials: { headers: { x-api-key: "f0r3c4ch3-5ecret" } } }
  open: { origin: "${origin}" }
routes:
  - { name: keyed-honour, match: /keyed/h/*, upstream: keyed, upstreamCacheControl: honour, forwardHeaders: ["*"] }
  - { name: keyed-ruled, match: /keyed/r/*, upstream: keyed, ttl: 1h }
  - { name: keyed-off, match: /keyed/o/*, upstream: keyed, cache: off }
  - { name: open-honour, match: /open/h/*, upstream: open, upstreamCacheControl: honour, forwardHeaders: ["*"] }
  - { name: open-ruled, match: /open/r/*, upstream: open, ttl: 1h }
  - { name: open-off, match: /open/o/*, upstream: open, cache: off }
`;

/** The proxy in front of an origin that always answers so. */
async function start(status: number, fields: Fields) {
  const body = fields['content-encoding'] === 'gzip' ? gzipSync('content') : 'content';
  const origin = await startOrigin(answer(status, fields, body));
  onTestFinished(() => origin.close());
  const proxy = await startTestProxy({ yaml: yaml(origin.url), clock: new StillClock() });
  onTestFinished(() => proxy[Symbol.asyncDispose]());
  const explain = async (asked: object): Promise<Explanation> => {
    const { body: explained } = await proxy.call('POST', '/api/explain', asked);
    return Object(explained);
  };
  return { proxy, explain };
}

function fateSeen({ status, headers }: Reply): Fate {
  if (status === 502) return 'refused';
  return headers['content-encoding'] === undefined ? 'off' : 'on';
}

function fateTold(foreseen: Explanation['answer']): Fate {
  if (foreseen?.reason.includes('no credential could be found in it') === true) return 'refused';
  const text = foreseen?.notes.find(({ topic }) => topic === 'coding')?.text;
  if (text === undefined) return 'untold';
  return text.includes('is taken off when it comes') ? 'off' : 'on';
}

const minute = 'max-age=60';
const gzip = { 'content-encoding': 'gzip', etag: '"1"' };
const unknown = { 'content-encoding': 'xyz', etag: '"1"' };

it.each<[string, Asked, readonly [status: number, fields: Fields], readonly [seen: Fate, told?: Fate]]>([
  ['/keyed/h/a', {}, [200, { ...gzip, 'cache-control': 'no-store' }], ['off']],
  ['/keyed/h/a', {}, [200, { ...gzip, 'cache-control': minute }], ['off']],
  ['/keyed/h/a', { method: 'HEAD' }, [200, { ...gzip, 'cache-control': minute }], ['off', 'untold']],
  ['/keyed/h/a', {}, [200, { ...unknown, 'cache-control': minute }], ['refused']],
  ['/keyed/h/a', { method: 'HEAD' }, [200, { ...unknown, 'cache-control': minute }], ['on', 'untold']],
  ['/keyed/h/a', {}, [200, { 'content-encoding': 'utf-8', 'cache-control': minute }], ['on']],
  ['/keyed/h/a', { headers: { range: 'bytes=0-1' } }, [206, { 'cache-control': minute }], ['refused']],
  ['/keyed/h/a', { method: 'POST' }, [200, gzip], ['off']],
  ['/keyed/h/a', { method: 'POST' }, [200, unknown], ['refused']],
  ['/keyed/r/a', {}, [200, gzip], ['off']],
  ['/keyed/r/a', {}, [200, unknown], ['refused']],
  ['/keyed/r/a', {}, [206, {}], ['refused']],
  ['/keyed/o/a', {}, [200, gzip], ['off']],
  ['/keyed/o/a', {}, [200, unknown], ['refused']],
  ['/keyed/o/a', {}, [206, {}], ['refused']],
  ['/keyed/o/a', { method: 'DELETE' }, [200, unknown], ['refused']],
  ['/open/h/a', {}, [200, { ...gzip, 'cache-control': 'no-store' }], ['on']],
  ['/open/h/a', {}, [200, { ...gzip, 'cache-control': minute }], ['on']],
  ['/open/h/a', {}, [200, { ...unknown, 'cache-control': minute }], ['on']],
  ['/open/r/a', {}, [200, gzip], ['off']],
  ['/open/r/a', {}, [200, unknown], ['on']],
  ['/open/o/a', {}, [200, gzip], ['on']],
  ['/open/o/a', {}, [200, unknown], ['on']],
])('explain foresees what becomes of %s %j answered %j', async (url, asked, [status, headers], [seen, told = seen]) => {
  const { proxy, explain } = await start(status, headers);
  const { answer: foreseen } = await explain({ url, ...asked, response: { status, headers } });
  const reply = await proxy.get(url, asked);
  expect({ status: reply.status, cacheStatus: reply.cacheStatus }).toEqual(foreseen?.sent);
  const get = { url, ...asked, method: 'GET' };
  await expect.poll(async () => (await explain(get)).stored?.key ?? null).toBe(foreseen?.key);
  expect([fateSeen(reply), fateTold(foreseen)]).toEqual([seen, told]);
});

it.each([['/keyed/h/a'], ['/keyed/o/a'], ['/open/h/a']])(
  'explain foresees that framing on %s is no framing',
  async (url) => {
    const headers = { 'content-length': 'abc', 'cache-control': minute };
    const { proxy, explain } = await start(200, headers);
    const { answer: foreseen } = await explain({ url, response: { status: 200, headers } });
    const reply = await proxy.get(url);
    expect(reply.status).toBe(foreseen?.sent?.status);
    expect(foreseen).toMatchObject({ stored: false, sent: { status: 502 } });
  },
);
