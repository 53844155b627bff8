import { outcomeNames } from '../metrics/labels.ts';
import { explainSchemas } from './openapi-explain.ts';
import { count, flag, names, object, optionalText, ref, type Schema, text } from './openapi-parts.ts';

const selectorMembers = {
  key: { ...text, description: 'A cache key, exactly.' },
  url: { ...text, description: 'Path and query on the proxy, canonicalised like a request; all variants.' },
  route: { ...text, description: 'Name of a route.' },
  tag: text,
  tags: { ...names, description: 'Any of these tags.', minItems: 1, maxItems: 1000 },
  prefix: { ...text, description: 'Beginning of canonical URLs on the proxy.', pattern: '^/' },
  all: { const: true },
};

const purgeSchemas: Schema = {
  PurgeRequest: object({ ...selectorMembers, soft: flag, dryRun: flag }, [], {
    additionalProperties: false,
    oneOf: Object.keys(selectorMembers).map((name) => ({ required: [name] })),
  }),
  PurgeAnswer: object(
    {
      id: text,
      complete: { type: 'boolean', description: 'From now on nothing is served whose fetch began before the purge.' },
      matched: { ...count, description: "Stored responses that this process's memory tier held of it." },
      dryRun: { type: 'boolean' },
      soft: { type: 'boolean' },
      sidecars: {
        type: 'array',
        description:
          'Who has acknowledged, this process first. Of the fleet that shares a Redis, else this process alone.',
        items: object({ id: text, appliedMs: { type: 'number', description: 'Milliseconds after the purge.' } }),
      },
      missing: {
        ...names,
        description:
          'Sidecars that have not acknowledged. Where complete, they may not serve from store until they catch up.',
      },
      completeBy: {
        ...text,
        format: 'date-time',
        description: 'Where not complete: from then on it is, whatever becomes of those that are missing.',
      },
    },
    ['id', 'complete', 'matched', 'dryRun', 'soft', 'sidecars', 'missing'],
  ),
};

const parameters = { type: 'object', additionalProperties: { type: ['string', 'number', 'boolean'] } } as const;

const warmSchemas: Schema = {
  WarmRequest: {
    oneOf: [
      object({ route: text, with: { type: 'array', items: parameters, minItems: 1, maxItems: 1000 } }, undefined, {
        additionalProperties: false,
      }),
      object({ locations: { ...names, minItems: 1, maxItems: 1000 } }, undefined, { additionalProperties: false }),
    ],
  },
  WarmReport: object({
    fetched: count,
    reused: count,
    failed: count,
    durationMs: { type: 'number' },
    items: { type: 'array', items: ref('WarmItem') },
  }),
  WarmItem: object(
    {
      url: text,
      route: text,
      result: { enum: ['fetched', 'reused', 'failed'] },
      status: count,
      detail: text,
      retryAt: { type: 'string', format: 'date-time', description: 'It is not asked for before.' },
    },
    ['url', 'route', 'result'],
  ),
};

const storedSchemas: Schema = {
  StoredList: object({ stored: { type: 'array', items: ref('Stored') }, limit: count }),
  Stored: object({
    kind: { enum: ['response', 'vary'] },
    key: text,
    route: text,
    upstream: text,
    url: text,
    tags: names,
    tier: { enum: ['memory', 'redis'], description: 'Where this process found it; memory tiers are listed.' },
    size: { ...count, description: 'Bytes, bookkeeping included.' },
    hits: count,
    status: { type: ['integer', 'null'] },
    age: { type: ['integer', 'null'], description: 'Seconds.' },
    ttl: { type: ['integer', 'null'], description: 'Seconds of freshness left; negative when stale.' },
    staleSince: optionalText,
  }),
};

const numbers = {
  requests: { ...count, description: 'hits + misses + errors + relayed + rejected + aborted.' },
  hits: { ...count, description: 'Outcomes hit, stale and stale-error.' },
  misses: { ...count, description: 'Outcomes miss, collapsed and revalidated.' },
  errors: count,
  hit_rate: { type: 'number', minimum: 0, maximum: 100, description: 'Percent of hits + misses; 0 of nothing.' },
  stale: count,
  collapsed: count,
  revalidated: count,
  relayed: count,
  rejected: count,
  aborted: count,
  outcomes: object(Object.fromEntries(outcomeNames.map((name) => [name, count]))),
  bytes_sent: count,
  bytes_from_store: count,
  upstream_calls: { ...count, description: 'Those that came to a connection.' },
  upstream_calls_background: { ...count, description: 'Of them those for revalidation and warming.' },
  upstream_calls_avoided: { type: 'integer', description: 'Below zero where warming was for nothing.' },
  upstream_seconds_saved_estimate: {
    type: ['number', 'null'],
    description: 'An estimate: calls avoided, times the mean of the answered calls of the route.',
  },
};

const report: Schema = {
  scope: {
    enum: ['process', 'fleet'],
    description: 'Whose counters these are; of the process while Redis does not answer.',
  },
  sidecars: { ...count, description: 'With `fleet`: proxies that took part a moment ago.' },
  since: { ...text, format: 'date-time' },
  ...numbers,
  purges: count,
  purged_responses: count,
  warm: object({ runs: count, fetched: count, reused: count, failed: count }),
  store: {
    ...object({ responses: count, bytes: count, max_bytes: count, tags: count, evicted: count }),
    description: 'The memory tier of the proxy that was asked.',
  },
  routes: { type: 'object', additionalProperties: ref('CacheNumbers') },
};

const alwaysReported = Object.keys(report).filter((member) => member !== 'sidecars');

const metricsSchemas: Schema = {
  CacheNumbers: object(numbers),
  CacheReport: object(report, alwaysReported),
  CacheReset: object(
    {
      ...report,
      missing: {
        ...names,
        description: 'Sidecars that have not heard of it. Each drops what it has counted when it does.',
      },
    },
    [...alwaysReported, 'missing'],
  ),
};

const problem = object(
  {
    type: { ...text, description: 'urn:forecache:problem:CODE' },
    title: text,
    status: count,
    detail: text,
    retryAfter: { ...count, description: 'Seconds after which to repeat it, with 429 and 503; also in Retry-After.' },
  },
  ['type', 'title', 'status', 'detail'],
  { description: 'RFC 9457.' },
);

/** `components.schemas` of the OpenAPI document. */
export const schemas: Schema = {
  ...purgeSchemas,
  ...warmSchemas,
  ...explainSchemas,
  ...storedSchemas,
  ...metricsSchemas,
  Health: object({ status: { const: 'ok' } }),
  Readiness: object({ state: { enum: ['starting', 'ready', 'draining'] } }),
  Problem: problem,
};
