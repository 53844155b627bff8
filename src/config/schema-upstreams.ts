import type * as v from 'valibot';
import { choice, map, option, recordOf, required } from './schema-base.ts';
import { duration, numeric, scalar, secretText, size, text } from './schema-scalars.ts';
import { staticFieldProblem, countedNameProblem, parseOrigin } from './words.ts';

const hour = 3_600_000;

function callDuration() {
  return duration({ min: 1, max: hour });
}

function parameterNameProblem(name: string): string | undefined {
  return name.length > 256 ? 'is longer than 256 characters' : undefined;
}

const credentialEntries = {
  query: option(
    recordOf(secretText(), { max: 20, name: parameterNameProblem, shown: 'secret' }),
    'Query parameters, for example `{ apikey: "${EVENTS_API_KEY}" }`. An empty value is not put on.',
    {},
  ),
  headers: option(
    recordOf(secretText(), { max: 20, name: staticFieldProblem, shown: 'secret' }),
    'Request fields, for example `{ authorization: "Bearer ${TOKEN}" }`. An empty value is not put on.',
    {},
  ),
};

const upstream = map({
  origin: required(
    scalar({
      what: 'http://host[:port] or https://host[:port]',
      parse: parseOrigin,
      json: { type: 'string', pattern: '^https?://[^/?#@]+/?$|\\$\\{', 'x-type': 'http(s)://host[:port]' },
    }),
    'Where this API is. Requests carry its host, whatever host the agent named.',
  ),
  timeout: option(
    callDuration(),
    'The most that a call may take; the default of `headersTimeout`, `bodyTimeout` and `totalTimeout`.',
    '10s',
  ),
  connectTimeout: option(callDuration(), 'The most that connecting may take, name lookup and TLS included.', '3s'),
  headersTimeout: option(callDuration(), 'From the request sent to the response head. Default: `timeout`.'),
  bodyTimeout: option(callDuration(), 'Between two pieces of a body. Default: `timeout`.'),
  totalTimeout: option(
    callDuration(),
    'From the start of a call to the end of a body that is to be stored. Default: `timeout`.',
  ),
  maxConnections: option(
    numeric({ min: 1, max: 10_000, whole: true }),
    'Connections open at once; further calls wait. Keep it small for APIs that limit calls under way.',
    '64',
  ),
  maxHeaderBytes: option(
    size({ min: 1024, max: 2 ** 20 }),
    'Bytes of the field lines of a response; past it 502.',
    '16KiB',
  ),
  maxBodyBytes: option(
    size({ min: 1024, max: 2 ** 40 }),
    'Bytes of a response body, as sent and decoded; past it the answer is cut off, streamed or not. Relayed answers of `cache: off` routes are not limited.',
    '256MiB',
  ),
  acceptEncoding: option(
    choice(['gzip', 'identity']),
    'The content coding that cached routes ask for (unless they honour `Vary`); clients get one that they accept.',
    'gzip',
  ),
  framing: option(
    choice(['strict', 'lenient']),
    'Answers of which only the end of the connection says that they are complete: `strict` passes them on without storing them, since an upstream that stopped halfway ends them alike, and refuses those in an unknown transfer coding (502). `lenient` takes both as they come, as RFC 9112 §8 allows. One in a known coding, such as `gzip`, is refused either way: nobody asked for it. Over TLS such an answer is whole only where upstream closes with an alert (`close_notify`); without one it is broken off, either way.',
    'strict',
  ),
  credentials: option(
    map(credentialEntries, 'secret'),
    'Secrets that the proxy puts on. What a client sends under these names, in whatever case and with whatever for `-` (`x_api_key`), is dropped; no key, log, metric or answer shows them.',
    {},
  ),
  fields: option(
    recordOf(text({ what: 'a field value', empty: true }), { max: 50, name: staticFieldProblem, shown: 'secret' }),
    'Request fields that every call carries, for example a `user-agent` with a contact address. A route cannot key or forward them. Refused: what the proxy works out itself (conditions, ranges, codings, `via`, `forwarded`, framing).',
    {},
  ),
  caFile: option(
    text({ what: 'a path' }),
    "PEM file of certificate authorities to trust for this origin beside the system's; relative to this file. It is read before the start.",
  ),
});

/** The APIs behind the proxy. */
export const upstreamsSchema = recordOf(upstream, {
  max: 1000,
  min: 1,
  name: (name) => countedNameProblem(name, 'upstream'),
});

export type UpstreamInput = v.InferOutput<typeof upstream>;
