/** The least that a server on node:http does for an answer of 1 KB; prints `bare URL` when it listens. */
import { createServer } from 'node:http';
import { forecastBody } from '../forecast.ts';

const body = forecastBody(1024);
const fields = Object.entries({
  'content-type': 'application/json',
  'content-length': String(body.length),
  age: '0',
  'cache-status': 'forecache; hit',
  via: '1.1 forecache',
  'cache-control': 'max-age=3600',
}).flat();
const server = createServer((_request, response) => {
  response.writeHead(200, fields);
  response.end(body);
});
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  process.stdout.write(`bare http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}\n`);
});
