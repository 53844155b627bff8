import { expect, it, onTestFinished } from 'vitest';

import { ask, type Ask } from '../support/http.ts';
import { launchServe } from '../support/launch.ts';
import { answer, startOrigin } from '../support/origin.ts';

const secret = 'HUSHpath';

const yaml = (origin: string): string => `
server: { listen: 127.0.0.1:0 }
admin: { listen: 127.0.0.1:0 }
log: { level: debug, requests: true }
upstreams: { api: { origin: "${origin}" } }
routes:
  - name: by-token
    match: /k/:token/data{/:day}?
    forward: /v1/{token}/{day}
    upstream: api
    ttl: 1h
    pathParams: { token: { type: text, secret: true }, day: { type: date } }
    query: { n: { type: integer } }
  - { name: live, match: /live/:token/*, upstream: api, cache: off, pathParams: { token: { type: text, secret: true } } }
`;

it('a secret in the path is logged by no request: kept, relayed or refused', async () => {
  const origin = await startOrigin(answer(200));
  onTestFinished(() => origin.close());
  const program = await launchServe(yaml(origin.url));
  const requests: readonly (readonly [target: string, options: Ask, status: number])[] = [
    [`/k/${secret}/data?n=1`, {}, 200],
    [`/k/${secret}/data?n=2`, { headers: { cookie: 'a=1' } }, 200],
    [`/k/${secret}/data?n=3`, { method: 'POST', body: 'x' }, 200],
    [`/k/${secret}/data?n=x`, {}, 400],
    [`/k/${secret}/data/tomorrow`, {}, 400],
    [`/k/${secret}/data/tomorrow`, { headers: { cookie: 'a=1' } }, 400],
    [`/k/${secret}/data`, { headers: { 'content-length': '1' }, body: 'x' }, 400],
    [`/live/${secret}/x?token=${secret}`, {}, 200],
  ];
  const told: string[] = [];
  for (const [target, options, status] of requests) {
    const reply = await ask(program.proxy, target, options);
    expect([target, reply.status]).toEqual([target, status]);
    told.push(`${JSON.stringify(reply.headers)} ${reply.text}`);
  }
  program.signal('SIGTERM');
  await program.ended;
  const log = program.stdout() + program.stderr();
  expect(origin.requests.some((request) => request.target.includes(secret))).toBe(true);
  expect(told.join('\n') + log).not.toContain(secret);
  const urls = [...log.matchAll(/"url":"([^"]*)".*"msg":"request"/g)].map((found) => found[1]);
  expect(urls).toHaveLength(requests.length);
  expect(urls.slice(1)).toEqual([
    '/k/***/data',
    '/k/***/data',
    '/k/***/data',
    '/k/***/data/tomorrow',
    '/k/***/data/tomorrow',
    '/k/***/data',
    '/live/***/x',
  ]);
});
