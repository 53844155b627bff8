import { expect, it } from 'vitest';

import { startTestProxy, yamlFor } from '../support/proxy.ts';
import { openRaw } from '../support/raw.ts';
import { startStreamUpstream } from '../support/stream-upstream.ts';

it('The answer of an upstream that waits for no content, and closes its connection behind it, reaches the client', async () => {
  const upstream = await startStreamUpstream((_, response) => void response.writeHead(403).end('no'));
  const routes = '  - { name: relayed, match: /r/*, upstream: api, cache: off }';
  await using proxy = await startTestProxy({ yaml: yamlFor(upstream.url, routes) });
  const content = Buffer.alloc(4 * 1024 * 1024, 'x');
  for (let round = 0; round < 5; round += 1) {
    using connection = await openRaw(proxy.origin);
    const sent = connection.send(`POST /r/x HTTP/1.1\r\nHost: x\r\nContent-Length: ${content.length}\r\n\r\n`);
    void sent.then(() => connection.send(content));
    const { status, text } = await connection.reply('POST');
    expect([status, text]).toEqual([403, 'no']);
  }
});
