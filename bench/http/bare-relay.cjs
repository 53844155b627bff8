/**
 * The least that a cache on Node does for a miss, but for the cache: `node:http`, undici, and the answer handed on; nothing is stored, keyed
 * or counted. Arguments: the origin; V8's flags for the load of the files; those from then on. Prints `bare URL` when it listens. A plain
 * script, as reading TypeScript takes Node more memory than is to be measured.
 */
const { setFlagsFromString } = require('node:v8');

const [origin = '', early = '', late = ''] = process.argv.slice(2);
const setFlags = (flags) => flags.split(' ').filter(Boolean).forEach(setFlagsFromString);

setFlags(early);
const { createServer } = require('node:http');
const { Pool } = require('undici');
setFlags(late);

const pool = new Pool(origin, { connections: 32 });
const server = createServer((request, response) => {
  const answered = ({ statusCode, headers }) =>
    response.writeHead(statusCode, { 'content-type': 'application/json', 'content-length': headers['content-length'] });
  pool.stream({ path: request.url, method: 'GET' }, answered, (error) => {
    if (error) response.destroy();
  });
});
server.listen(0, '127.0.0.1', () => {
  process.stdout.write(`bare http://127.0.0.1:${server.address().port}\n`);
});
