/**
 * What the servers under test ask: the JSON of a forecast of `size` bytes (1024) that is fresh for an hour, for any path.
 * `/counts` tells how often each kind of `location` was asked for, the kind being its letters before the number:
 * so it shows which answers did not come from a cache. Prints `origin URL` when it listens.
 */
import { createServer } from 'node:http';
import { forecastBody } from '../forecast.ts';

/** Places with a forecast of their own: what reads the same bytes each time foresees them. */
const variants = 16;
const bodies = new Map<number, Buffer>();
const counts = new Map<string, number>();

function bodyOf(bytes: number, number: number): Buffer {
  const variant = number % variants;
  const key = bytes * variants + variant;
  const known = bodies.get(key);
  if (known !== undefined) return known;
  const made = forecastBody(bytes, variant);
  bodies.set(key, made);
  return made;
}

const server = createServer((request, response) => {
  const url = request.url ?? '/';
  if (url === '/counts') {
    response.end(JSON.stringify(Object.fromEntries(counts)));
    return;
  }
  const [, kind = '', number] = /[?&]location=([a-z]*)(\d*)/.exec(url) ?? [];
  counts.set(kind, (counts.get(kind) ?? 0) + 1);
  const body = bodyOf(Number(/[?&]size=(\d+)/.exec(url)?.[1] ?? 1024), Number(number ?? 0));
  response.writeHead(200, {
    'content-type': 'application/json',
    'cache-control': 'max-age=3600',
    'content-length': body.length,
  });
  response.end(body);
});
// Connections of caches may idle through a long measurement of somebody else.
server.keepAliveTimeout = 3_600_000;
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  process.stdout.write(`origin http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}\n`);
});
