import type { IncomingMessage } from 'node:http';
import type { PurgeCommand } from '../cache/operations.ts';
import type { Clock } from '../cache/ports.ts';
import { ok, type Result } from '../core/problem.ts';
import { readJsonObject, type BodyLimit, type JsonObject } from './read-body.ts';
import { readExplain } from './read-explain.ts';
import { readListFilter } from './read-list.ts';
import { readPurge } from './read-purge.ts';
import { readWarm } from './read-warm.ts';
import { jsonReply, problemReply, textReply, type Reply } from './reply.ts';
import type { AdminServices } from './services.ts';
import { storedView } from './stored-view.ts';

/** One call of the admin listener. GET answers HEAD too. */
export interface Endpoint {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  /** Who may ask: `anyone` (nothing secret in it), or who passes the guard. */
  readonly access: 'anyone' | 'guarded';
  /** Needs the parts that are there only once the proxy has started. */
  readonly needsStart: boolean;
  readonly handle: (request: IncomingMessage, query: string) => Reply | Promise<Reply>;
}

export interface EndpointParts {
  readonly services: AdminServices;
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly version: string;
  readonly body: BodyLimit;
}

/** All calls of the admin listener, except the PURGE method, which goes to any path. */
export function endpointsOf(parts: EndpointParts): readonly Endpoint[] {
  return [...healthEndpoints(parts), ...apiEndpoints(parts), ...metricsEndpoints(parts), ...pageEndpoints(parts)];
}

function healthEndpoints({ services }: EndpointParts): readonly Endpoint[] {
  const common = { method: 'GET', access: 'anyone', needsStart: false } as const;
  return [
    { ...common, path: '/healthz', handle: () => jsonReply(200, { status: 'ok' }) },
    {
      ...common,
      path: '/readyz',
      handle: () => {
        const state = services.state();
        return jsonReply(state === 'ready' ? 200 : 503, { state });
      },
    },
  ];
}

function apiEndpoints({ services, clock, body }: EndpointParts): readonly Endpoint[] {
  const common = { access: 'guarded', needsStart: true } as const;
  return [
    {
      ...common,
      method: 'POST',
      path: '/api/purge',
      handle: (request) =>
        withBody(request, body, readPurge, (command) => answerPurge(services, { ...command, source: 'api' })),
    },
    {
      ...common,
      method: 'POST',
      path: '/api/warm',
      handle: (request) =>
        withBody(request, body, readWarm, async (wanted) => resultReply(await services.warm(wanted))),
    },
    {
      ...common,
      method: 'POST',
      path: '/api/explain',
      handle: (request) =>
        withBody(request, body, readExplain, async (asked) => resultReply(await services.explain(asked))),
    },
    {
      ...common,
      method: 'GET',
      path: '/api/stored',
      handle: async (_request, query) => {
        const filter = readListFilter(query);
        if (!filter.ok) return problemReply(filter.error);
        const listed = await services.list(filter.value);
        const nowMs = clock.nowMs();
        return jsonReply(200, {
          stored: listed.map((summary) => storedView(summary, nowMs)),
          limit: filter.value.limit,
        });
      },
    },
  ];
}

function metricsEndpoints({ services, body }: EndpointParts): readonly Endpoint[] {
  const common = { access: 'guarded', needsStart: false } as const;
  return [
    {
      ...common,
      method: 'GET',
      path: '/api/metrics/cache',
      handle: async () => jsonReply(200, await services.metricsReport()),
    },
    {
      ...common,
      method: 'POST',
      path: '/api/metrics/cache/reset',
      handle: (request) =>
        withBody(request, body, readNothing, async () => {
          const reset = await services.resetMetrics();
          if (!reset.ok) return problemReply(reset.error);
          return jsonReply(200, { ...(await services.metricsReport()), missing: reset.value.missing });
        }),
    },
    {
      ...common,
      method: 'GET',
      path: '/metrics',
      handle: async () => textReply('text/plain; version=0.0.4; charset=utf-8', await services.prometheus()),
    },
  ];
}

// The page is the same for everybody and holds no data; what it shows, it asks for with the token.
/** Their texts are read when they are asked for. */
function pageEndpoints({ version }: EndpointParts): readonly Endpoint[] {
  const common = { method: 'GET', access: 'anyone', needsStart: false } as const;
  const policy =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
  return [
    {
      ...common,
      path: '/',
      handle: async () => {
        const { dashboardHtml } = await import('./dashboard-html.ts');
        return textReply('text/html; charset=utf-8', dashboardHtml, [['content-security-policy', policy]]);
      },
    },
    {
      ...common,
      path: '/dashboard.js',
      handle: async () => textReply('text/javascript; charset=utf-8', (await import('./dashboard-js.ts')).dashboardJs),
    },
    {
      ...common,
      path: '/dashboard.css',
      handle: async () => textReply('text/css; charset=utf-8', (await import('./dashboard-css.ts')).dashboardCss),
    },
    {
      ...common,
      path: '/openapi.json',
      access: 'guarded',
      handle: async () => jsonReply(200, (await import('./openapi.ts')).openApiDocument(version)),
    },
  ];
}

/** A purge's answer by its receipt: 202 where it is not complete yet. */
export async function answerPurge(services: AdminServices, command: PurgeCommand): Promise<Reply> {
  const answer = await services.purge(command);
  return answer.ok ? jsonReply(answer.value.complete ? 200 : 202, answer.value) : problemReply(answer.error);
}

async function withBody<T>(
  request: IncomingMessage,
  limit: BodyLimit,
  read: (body: JsonObject) => Result<T>,
  answer: (value: T) => Promise<Reply>,
): Promise<Reply> {
  const body = await readJsonObject(request, limit);
  if (!body.ok) return problemReply(body.error);
  const value = read(body.value);
  return value.ok ? answer(value.value) : problemReply(value.error);
}

function readNothing(): Result<undefined> {
  return ok(undefined);
}

function resultReply<T>(result: Result<T>): Reply {
  return result.ok ? jsonReply(200, result.value) : problemReply(result.error);
}
