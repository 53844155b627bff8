import { schemas } from './openapi-schemas.ts';

type Part = Readonly<Record<string, unknown>>;

/** The OpenAPI 3.1 document of the admin listener. */
export function openApiDocument(version: string): Part {
  return {
    openapi: '3.1.0',
    info: {
      title: 'Forecache admin listener',
      version,
      description:
        'Where a token is configured, every call but health, readiness and the dashboard page needs it as a bearer token. HEAD works wherever GET does.',
    },
    security: [{ token: [] }, {}],
    paths: { ...operations, ...health, ...metrics, ...pages, ...purgeMethod },
    components: {
      schemas,
      securitySchemes: { token: { type: 'http', scheme: 'bearer' } },
      responses: {
        Problem: {
          description: 'A refusal.',
          content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
        },
      },
    },
  };
}

const refusal: Part = { $ref: '#/components/responses/Problem' };

function json(description: string, schema: string): Part {
  return { description, content: { 'application/json': { schema: { $ref: `#/components/schemas/${schema}` } } } };
}

function text(description: string, type: string): Part {
  return { description, content: { [type]: { schema: { type: 'string' } } } };
}

function body(schema: string): Part {
  return { required: true, content: { 'application/json': { schema: { $ref: `#/components/schemas/${schema}` } } } };
}

const guarded: Part = { 401: refusal, 403: refusal };
const posted: Part = { ...guarded, 400: refusal, 413: refusal, 415: refusal, 503: refusal };

/** A 503 says when to repeat it. */
const later: Part = {
  headers: { 'Retry-After': { description: 'Seconds.', schema: { type: 'integer', minimum: 0 } } },
  content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
};

const purgeAnswers: Part = {
  200: json(
    'Complete: nothing that it covers is served from now on whose fetch began before the call (soft: as if it were fresh). Of a dryRun: counted, nothing changes.',
    'PurgeAnswer',
  ),
  202: json(
    'Not complete before completeBy, unless the missing acknowledge; only where the configuration prefers availability.',
    'PurgeAnswer',
  ),
  ...posted,
  503: {
    description:
      'It cannot be guaranteed now, or the proxy is starting. It may have taken effect; repeating it is safe.',
    ...later,
  },
};

const operations: Part = {
  '/api/purge': {
    post: {
      operationId: 'purge',
      summary: 'Purge by exactly one selector; count only with dryRun; mark stale with soft.',
      requestBody: body('PurgeRequest'),
      responses: purgeAnswers,
    },
  },
  '/api/warm': {
    post: {
      operationId: 'warm',
      summary: 'Fetch ahead: one route with parameters, or the configured jobs for locations.',
      requestBody: body('WarmRequest'),
      responses: { 200: json('What was fetched, reused, failed.', 'WarmReport'), ...posted },
    },
  },
  '/api/explain': {
    post: {
      operationId: 'explain',
      summary: 'What would happen to a request now, and why. Changes nothing, calls nothing.',
      requestBody: body('ExplainRequest'),
      responses: { 200: json('The explanation.', 'Explanation'), ...posted },
    },
  },
  '/api/stored': {
    get: {
      operationId: 'listStored',
      summary: 'What is stored in the memory tier.',
      parameters: [
        { name: 'route', in: 'query', schema: { type: 'string' } },
        { name: 'tag', in: 'query', schema: { type: 'string' } },
        { name: 'limit', in: 'query', schema: { type: 'integer', minimum: 1, maximum: 1000, default: 100 } },
      ],
      responses: { 200: json('The stored items.', 'StoredList'), 400: refusal, 503: refusal, ...guarded },
    },
  },
};

const health: Part = {
  '/healthz': {
    get: {
      operationId: 'health',
      summary: 'Liveness.',
      security: [],
      responses: { 200: json('The process answers.', 'Health') },
    },
  },
  '/readyz': {
    get: {
      operationId: 'readiness',
      summary: 'Readiness.',
      security: [],
      responses: { 200: json('Ready.', 'Readiness'), 503: json('Starting or draining.', 'Readiness') },
    },
  },
};

const metrics: Part = {
  '/api/metrics/cache': {
    get: {
      operationId: 'cacheReport',
      summary: 'Counts since the start or the last reset.',
      responses: { 200: json('The report.', 'CacheReport'), ...guarded },
    },
  },
  '/api/metrics/cache/reset': {
    post: {
      operationId: 'resetCacheReport',
      summary: "Set the report's counts to zero; the Prometheus counters go on.",
      responses: { 200: json('The report, from now on, and who has not heard of it.', 'CacheReset'), ...posted },
    },
  },
  '/metrics': {
    get: {
      operationId: 'prometheus',
      summary: 'Prometheus metrics.',
      responses: { 200: text('The exposition.', 'text/plain'), ...guarded },
    },
  },
};

function page(operationId: string, type: string): Part {
  return { get: { operationId, summary: 'The dashboard.', security: [], responses: { 200: text('Its file.', type) } } };
}

const pages: Part = {
  '/': page('dashboard', 'text/html'),
  '/dashboard.js': page('dashboardScript', 'text/javascript'),
  '/dashboard.css': page('dashboardStyle', 'text/css'),
  '/openapi.json': {
    get: {
      operationId: 'openapi',
      summary: 'This document.',
      responses: {
        200: { description: 'The document.', content: { 'application/json': { schema: { type: 'object' } } } },
        ...guarded,
      },
    },
  },
};

// OpenAPI 3.1 knows no method of that name; `additionalOperations` comes with 3.2.
const purgeMethod: Part = {
  '/{path}': {
    parameters: [{ name: 'path', in: 'path', required: true, schema: { type: 'string' } }],
    'x-additionalOperations': {
      PURGE: {
        operationId: 'purgeUrl',
        summary: 'Purge a path and query of the proxy: POST /api/purge with url.',
        responses: purgeAnswers,
      },
    },
  },
};
