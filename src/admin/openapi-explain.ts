import { explainedTopics } from '../cache/explained-http.ts';
import { outcomeNames } from '../metrics/labels.ts';
import { count, names, object, optionalText, ref, type Schema, seconds, text } from './openapi-parts.ts';

const fields = { type: 'object', additionalProperties: text } as const;

/** What `POST /api/explain` takes and answers. */
export const explainSchemas: Schema = {
  ExplainRequest: object(
    {
      url: {
        ...text,
        description: 'Path and query on the proxy, an absolute URL, or //host with a path, as canonical URLs are.',
      },
      listener: {
        ...text,
        description: 'Name of the listener; where absent the one at the address of url, else default.',
      },
      method: { ...text, default: 'GET' },
      headers: fields,
      body: { ...text, description: 'Content, sent as UTF-8.' },
      response: {
        ...object({ status: { type: 'integer', minimum: 200, maximum: 999 }, headers: fields }, ['status'], {
          additionalProperties: false,
        }),
        description: 'What upstream is supposed to answer, to see what would be done with that.',
      },
    },
    ['url'],
    { additionalProperties: false },
  ),
  Explanation: object({
    method: text,
    route: optionalText,
    key: optionalText,
    url: optionalText,
    tags: names,
    upstream: { oneOf: [object({ name: text, method: text, target: text }), { type: 'null' }] },
    steps: { type: 'array', items: ref('KeyStep') },
    stored: { oneOf: [ref('ExplainedStored'), { type: 'null' }] },
    coherence: {
      oneOf: [ref('ExplainedCoherence'), { type: 'null' }],
      description: 'What this process knows of the purge log that it shares with others; null where it shares none.',
    },
    decision: object({ would: { enum: outcomeNames }, fwd: optionalText, reason: text }),
    problem: { type: ['object', 'null'], description: 'The refusal, where the request would be refused.' },
    sent: {
      oneOf: [ref('ExplainedReply'), { type: 'null' }],
      description: 'What the client would be sent, as far as it is known without upstream.',
    },
    notes: {
      type: 'array',
      items: ref('ExplainedNote'),
      description: 'Each piece of HTTP caching that has a part in it, with the section of the RFC.',
    },
    answer: {
      oneOf: [ref('ExplainedAnswer'), { type: 'null' }],
      description:
        'What would be done with the response of the call; its content is taken for complete and good, and for as long as a Content-Length says.',
    },
  }),
  ExplainedReply: object({
    status: { type: ['integer', 'null'], description: "Null where it is upstream's to say." },
    cacheStatus: { ...text, description: 'RFC 9211; without members that the answer of upstream decides.' },
  }),
  ExplainedNote: object({ topic: { enum: explainedTopics }, text }),
  ExplainedAnswer: object({
    stored: { type: 'boolean', description: 'For later requests.' },
    token: { ...optionalText, description: 'Why it is not stored, as in the metrics.' },
    reason: text,
    sent: {
      oneOf: [ref('ExplainedReply'), { type: 'null' }],
      description: 'Null where upstream would be asked once more.',
    },
    key: { ...optionalText, description: 'That it would be stored under, with the variant part.' },
    tags: names,
    invalidates: { ...names, description: 'u:URL, t:TAG, r:ROUTE and k:KEY that it makes invalid.' },
    notes: { type: 'array', items: ref('ExplainedNote') },
  }),
  KeyStep: object(
    { part: { enum: ['path', 'query', 'header', 'content'] }, name: text, before: text, after: text, rule: text },
    ['part', 'name', 'rule'],
  ),
  ExplainedCoherence: object({
    leased: { type: 'boolean', description: 'False: nothing is served from store.' },
    epoch: text,
    applied: { ...count, description: 'The last purge that was applied here.' },
    lag: { ...count, description: 'Purges that are known and not applied here.' },
  }),
  ExplainedStored: object({
    key: text,
    tier: { enum: ['memory', 'redis'] },
    status: count,
    ageSeconds: seconds,
    ttlSeconds: seconds,
    sizeBytes: count,
    hits: { type: ['integer', 'null'] },
    position: object({ epoch: text, seq: count }),
    valid: { type: 'boolean', description: 'False: it is not served, however fresh.' },
    invalidBecause: { enum: ['lease', 'epoch', 'floor', 'purged', null] },
    staleSince: optionalText,
    storedAt: text,
    freshUntil: text,
    retainUntil: text,
    source: text,
  }),
};
