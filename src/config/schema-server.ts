import { redisSchema } from './schema-redis.ts';
import { choice, map, option, recordOf, required } from './schema-base.ts';
import { duration, flag, numeric, scalar, secretText, size } from './schema-scalars.ts';
import { nameProblem, parseListen } from './words.ts';

const hour = 3_600_000;

function listen() {
  return scalar({
    what: 'host:port',
    parse: parseListen,
    json: { type: 'string', 'x-type': 'host:port; port 0 is any free one' },
  });
}

const limits = map({
  maxHeaderBytes: option(
    size({ min: 1024, max: 2 ** 20 }),
    'Bytes of a request head, request line and fields together; past it 431.',
    '16KiB',
  ),
  maxHeaderFields: option(numeric({ min: 1, max: 2000, whole: true }), 'Field lines of a request; past it 431.', '100'),
  maxTargetBytes: option(size({ min: 64, max: 65_536 }), 'Bytes of a request target; past it 414.', '8KiB'),
  maxBodyBytes: option(
    size({ min: 0, max: 2 ** 40 }),
    'Bytes of request content that is relayed (a GET or HEAD of a cached route takes none); past it 413.',
    '10MiB',
  ),
  maxContentBytes: option(
    size({ min: 1, max: 2 ** 40 }),
    'Bytes of request content by which routes with `content` look up, of all requests under way together; past it 429.',
    '64MiB',
  ),
  maxConnections: option(
    numeric({ min: 1, max: 100_000, whole: true }),
    'Open client connections of a listener; further ones are answered 429 and closed.',
    '1000',
  ),
  maxRequestsPerConnection: option(
    numeric({ min: 0, max: 1_000_000_000, whole: true }),
    'Requests after which a kept-alive connection is closed; 0: no limit.',
    '0',
  ),
  maxPipelined: option(
    numeric({ min: 1, max: 1000, whole: true }),
    'Requests of one connection that run at once where a client does not wait for answers; further ones wait.',
    '8',
  ),
  maxHops: option(
    numeric({ min: 0, max: 1000, whole: true }),
    'Proxies of this kind that a request has passed before, by its `CDN-Loop`, relayed also by its `Via`; past it 508: an upstream leads back here.',
    '8',
  ),
});

const timeouts = map({
  headers: option(
    duration({ min: 100, max: hour }),
    'From connecting, or the first byte of a further request, to the end of its head; past it 408 and the connection closes.',
    '10s',
  ),
  request: option(
    duration({ min: 100, max: 24 * hour }),
    'From the first byte of a request to the end of its content.',
    '5m',
  ),
  keepAlive: option(
    duration({ min: 100, max: hour }),
    'An idle connection is closed after this long. Keep it above the idle time of a load balancer in front.',
    '65s',
  ),
  send: option(
    duration({ min: 100, max: hour }),
    'A response of which the client takes nothing for this long is ended.',
    '30s',
  ),
});

const listener = map({
  listen: required(listen(), 'Address of this listener.'),
});

/** The listeners of agents. */
export const serverSchema = map({
  listen: option(listen(), 'Address of the default listener: the base URL of agents.', '127.0.0.1:8080'),
  listeners: option(
    recordOf(listener, { max: 100, name: nameProblem }),
    'Further listeners by name, for clients whose base URL cannot hold a path: a route with `listener` is asked only there.',
    {},
  ),
  limits: option(limits, 'What a client may send.', {}),
  timeouts: option(timeouts, 'How long a client may take.', {}),
  drainDelay: option(
    duration({ min: 0, max: hour }),
    'After SIGTERM readiness answers 503 and serving goes on for this long, so that balancers can take note. 5s suits Kubernetes.',
    '0',
  ),
  grace: option(
    duration({ min: 0, max: hour }),
    'After that, requests in flight get this long to end. Kubernetes kills a pod 30 s after it is told to end, and `docker stop` a container after 10: this and `drainDelay` have to fit in with some seconds to spare.',
    '30s',
  ),
  fastLane: option(
    flag(),
    'Whether a request head that is byte for byte one answered from memory before, or differs from one in its target alone, is answered without parsing it again: from memory at once, from Redis and upstream when they have answered. Off: each request is parsed, and gets the same answer, slower.',
    'true',
  ),
  workers: option(
    numeric({ min: 0, max: 256, whole: true }),
    'Threads that serve requests, each with a memory tier of its own that takes its part of `store.memory.maxBytes`; 0: one for each core. For proxies that stand alone; a sidecar has one.',
    '1',
  ),
});

const adminEntries = {
  listen: option(listen(), 'Address of the admin listener.', '127.0.0.1:9090'),
  token: option(
    secretText(),
    'Bearer token that admin calls must carry; empty: none. Needed when the listener is not on loopback.',
    '',
  ),
  maxBodyBytes: option(
    size({ min: 1024, max: 2 ** 20 }),
    'Bytes of the content of an admin call; past it 413.',
    '64KiB',
  ),
};

/** The listener of operators. */
export const adminSchema = map(adminEntries, 'secret');

/** What the program says of itself. */
export const logSchema = map({
  level: option(
    choice(['debug', 'info', 'warn', 'error', 'silent']),
    'The least severe lines that are written, as JSON.',
    'info',
  ),
  requests: option(flag(), 'Whether each request gets a line.', 'false'),
});

/** Where stored responses are kept. */
export const storeSchema = map({
  memory: option(
    map({
      maxBytes: option(
        size({ min: 65_536, max: 2 ** 40 }),
        'Bytes of the memory tier, bodies and bookkeeping together; the least useful responses are evicted past it. Past 16 MiB it takes less where the process as a whole would come to more than this and 64 MiB ([0018](decisions/0018-what-the-process-takes.md)).',
        '256MiB',
      ),
    }),
    'The memory tier.',
    {},
  ),
  redis: option(redisSchema, 'The shared tier, for a fleet of proxies.'),
});
