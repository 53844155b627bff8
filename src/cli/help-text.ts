/** Texts that end the help of the program and of each command: examples first, since they are what people look for. */

export const summary = `Forecache, a reverse caching proxy for programs that call other people's APIs.
'serve' runs it; 'check' and 'explain --config' need only its configuration; the others ask one
that runs.`;

const remote = `
The proxy is asked at its admin listener. A bearer token is taken from --token-file or from
FORECACHE_ADMIN_TOKEN, never from the command line, where every user of the machine could read it.`;

export const programNotes = `
Examples:
  forecache check --config config/forecache.yaml
  forecache serve --config config/forecache.yaml
  forecache explain --config config/forecache.yaml '/geocoding/v1/search?name=Berlin'
  forecache purge --tag location:lima --dry-run
  forecache stats

Environment:
  FORECACHE_ADMIN        admin listener of the proxy to ask (http://127.0.0.1:9090)
  FORECACHE_ADMIN_TOKEN  its bearer token

Exit codes:
   0  done
   1  the proxy refused it, or a part of it failed; 'serve' cannot start, or not stop in order
  64  wrong use of the command line, or issues in the configuration
  69  nobody answers at the admin address, or not in time
  75  it may work later: not every sidecar has applied the purge, or the proxy is starting or busy
`;

export const serveNotes = `
Prints one line with both addresses when it is ready (GET /readyz on the admin listener answers
200). SIGTERM, SIGINT or SIGHUP: readiness turns 503, requests in flight are finished, then it ends.
A second signal ends it at once (exit code 1): 250 ms behind the first or later, since what runs a
program may send its signal twice. SIGHUP is never a second one.

Example:
  forecache serve --config config/forecache.yaml

Exit codes: 0 after an ordinary stop, 1 where it cannot start (an address is in use) or not stop in
order (a second signal, its log or stdout on a full disk), 64 with issues in the configuration.
`;

export const checkNotes = `
Issues go to stderr, each as file:line:col: path: message. Nothing is bound and nobody is called.
What is allowed but hardly meant is a note on stdout, file:line:col: note: path: message.

Examples:
  forecache check --config config/forecache.yaml
  forecache check --config config/forecache.yaml --json

Exit codes: 0 without issues, 64 with some.
`;

export const explainNotes = `
Shows the route, each parameter before and after, the cache key, what would go upstream (credentials
as ***), the tags, what is stored, and what would happen now and why. It changes nothing and calls
nobody upstream. With --config nothing is stored: it shows the key and what a first request does.

With --status or --response-header it shows also what would be done with such an answer of
upstream's: stored or not and why, for how long it would be fresh, and what it would make invalid.
Its content is taken for complete and good, and for as long as a Content-Length says.
${remote}

Examples:
  forecache explain -c config/forecache.yaml '/weather/v1/forecast?latitude=52.52&longitude=13.41'
  forecache explain '/events/discovery/v2/events?city=lima'
  forecache explain http://127.0.0.1:8081/v1/tides
  forecache explain -H 'Accept-Language: de' -H 'Cache-Control: no-cache' /honour/news --json
  forecache explain -m POST -H 'Content-Type: application/json' -d '{"query":"{a}"}' /graphql
  forecache explain --status 404 --response-header 'Cache-Control: max-age=60' /honour/news

Exit codes: 0 explained (also where the request would be refused), 1 refused, 64 usage or
configuration, 69 unreachable, 75 later.
`;

export const purgeNotes = `
Exactly one of --key, --url, --route, --prefix, --tag and --all. When it ends with 0, no sidecar
serves anything that it covers and whose fetch began before it (with --soft: as if it were fresh;
with --dry-run nothing changes). The count is of what the asked process held in memory.

Canonical URLs are as explain shows them. What may be missing of a path is not in them: with the
configuration that comes with this program, /events/discovery/v2/events is /discovery/v2/events.
${remote}

Examples:
  forecache purge --tag location:lima --dry-run
  forecache purge --tag location:lima --tag location:cusco
  forecache purge --url '/geocoding/v1/search?name=Lima' --soft
  forecache purge --prefix /discovery/ --admin http://10.0.0.7:9090
  forecache purge --all --json

Exit codes: 0 complete (or counted), 1 refused, 64 usage, 69 unreachable, 75 not complete
or not now; repeating it is safe.
`;

export const warmNotes = `
Fetches what is not fresh, under the proxy's limit of fetches at once; fresh answers are reused. A
failing request does not stop the others, but an upstream that says 429 is asked for nothing more,
nor before the time of its Retry-After: the rest fails without a call. Values may hold {today},
{today+7d} and {today-1d} (UTC).
${remote}

Examples:
  forecache warm --location lima --location 'new york'
  forecache warm --route weather-forecast --with latitude=-12.05 --with longitude=-77.04
  forecache warm --route event-search --with city=lima --with 'startDateTime={today}T00:00:00Z'
  forecache warm --route weather-geocoding --with name=lima --with name=cusco

Exit codes: 0 all are stored, 1 refused or some failed, 64 usage, 69 unreachable, 75 later.
`;

export const statsNotes = `
Counters since the start or the last reset, in all and for each route. Prometheus has its own at
GET /metrics.
${remote}

Examples:
  forecache stats
  forecache stats --json
  forecache stats --reset

Exit codes: 0 shown or reset, 1 refused, 64 usage, 69 unreachable, 75 later.
`;
