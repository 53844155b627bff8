/** A relay by http-proxy-3 and nothing else, to the origin that it is told; prints `bare URL` when it listens. */
import { Agent, createServer } from 'node:http';
import { createProxyServer } from 'http-proxy-3';

const agent = new Agent({ keepAlive: true });
const proxy = createProxyServer({ target: process.argv[2] ?? '', agent });
const server = createServer((request, response) => {
  proxy.web(request, response);
});
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  process.stdout.write(`bare http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}\n`);
});
