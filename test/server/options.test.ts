import { describe, expect, it } from 'vitest';

import { get, head, startStage } from '../support/hostile.ts';

const options = (target: string, left: string): string =>
  head(`OPTIONS ${target} HTTP/1.1`, 'Host: api.test', 'Connection: close', `Max-Forwards: ${left}`);

describe('Max-Forwards', () => {
  it.each(['/r/x', '/c/x', '/h/x'])('of OPTIONS %s is one less upstream, and 0 goes no further', async (target) => {
    await using stage = await startStage();
    const sent = ['0', '1', '7', 'none'];
    const talks = [];
    for (const left of sent) talks.push(await stage.converse(options(target, left)));
    expect(talks.map(({ replies }) => replies[0]?.status)).toEqual([200, 200, 200, 200]);
    expect(stage.origin.requests.map((request) => request.field('max-forwards'))).toEqual(['0', '6', 'none']);
    const own = talks[0]?.replies[0];
    expect(own?.field('allow')).toMatch(/^GET, HEAD, .*OPTIONS/);
    expect([own?.field('content-length'), own?.field('cache-status')]).toEqual(['0', 'forecache; detail=max-forwards']);
  });

  it('says nothing of other methods', async () => {
    await using stage = await startStage();
    await stage.converse(get('/r/x', 'Max-Forwards: 0'));
    expect(stage.origin.requests.map((request) => request.field('max-forwards'))).toEqual(['0']);
  });
});

it.each(['/r/x', '/c/x', '/h/x'])('An Upgrade of HTTP/1.0 for %s is ignored', async (target) => {
  await using stage = await startStage();
  const ask = () => stage.converse(head(`GET ${target} HTTP/1.0`, 'Connection: upgrade', 'Upgrade: websocket'));
  const replies = [...(await ask()).replies, ...(await ask()).replies];
  expect(replies.map(({ status }) => status)).toEqual([200, 200]);
  const calls = target === '/c/x' ? [undefined] : [undefined, undefined];
  expect(stage.origin.requests.map((request) => request.field('upgrade'))).toEqual(calls);
});
