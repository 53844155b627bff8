import type { WarmConfig, WarmJob } from '../core/config.ts';
import { ok, refused, type Problem, type Result } from '../core/problem.ts';
import type { Route } from '../core/route.ts';
import { routeByName, type RouteTable } from '../core/route-table.ts';
import { unknownRoute } from './locate.ts';
import type { WarmRequest } from './operations.ts';
import { expandTemplate, usesLocation, type TemplateValues } from './template.ts';

/** One request that is to be made, its parameters expanded; the error is why they could not be. */
export interface PlannedWarm {
  readonly route: Route;
  readonly values: Result<ReadonlyMap<string, string>, string>;
}

/** Requests of one call of an operator's; more would hold its answer back for minutes. */
const maxRequests = 1000;

/** One request for each location where the job uses one, else a single one. Empty where its route is not configured, which is refused at start. */
export function planJob(
  table: RouteTable,
  job: Pick<WarmJob, 'route' | 'with' | 'zone'>,
  locations: readonly string[],
  nowMs: number,
): readonly PlannedWarm[] {
  const route = routeByName(table, job.route);
  if (route === undefined) return [];
  const runs: readonly (string | undefined)[] = usesLocation(job.with.values()) ? locations : [undefined];
  return runs.map((location) => ({ route, values: expandAll(job.with, { location, nowMs, zone: job.zone }) }));
}

/** What an operator asked for; refused with a 400 where it names nothing that can be warmed, or too much. */
export function planRequest(
  table: RouteTable,
  config: WarmConfig,
  request: WarmRequest,
  nowMs: number,
): Result<readonly PlannedWarm[]> {
  const planned =
    request.kind === 'route' ? byRoute(table, request, nowMs) : byLocations(table, config, request, nowMs);
  return planned.ok && planned.value.length > maxRequests ? refused(tooMany(planned.value.length)) : planned;
}

function byRoute(
  table: RouteTable,
  request: WarmRequest & { readonly kind: 'route' },
  nowMs: number,
): Result<readonly PlannedWarm[]> {
  const route = routeByName(table, request.route);
  if (route === undefined) return refused(unknownRoute(table, request.route));
  const at = { location: undefined, nowMs, zone: 'UTC' };
  return ok(request.with.map((values) => ({ route, values: expandAll(new Map(Object.entries(values)), at) })));
}

function byLocations(
  table: RouteTable,
  config: WarmConfig,
  request: WarmRequest & { readonly kind: 'locations' },
  nowMs: number,
): Result<readonly PlannedWarm[]> {
  // A job without a location has its interval; it has nothing to do with the locations asked for.
  const jobs = config.jobs.filter((job) => usesLocation(job.with.values()));
  if (jobs.length === 0) return refused(nothingByLocation);
  return ok(jobs.flatMap((job) => planJob(table, job, request.locations, nowMs)));
}

function expandAll(
  templates: ReadonlyMap<string, string>,
  at: TemplateValues,
): Result<ReadonlyMap<string, string>, string> {
  const expanded = new Map<string, string>();
  for (const [name, template] of templates) {
    const text = expandTemplate(template, at);
    if (!text.ok) return text;
    expanded.set(name, text.value);
  }
  return ok(expanded);
}

const nothingByLocation: Problem = {
  status: 400,
  code: 'warm-no-job',
  title: 'No job by location',
  detail: 'No configured warming job uses {location}; name a route and its parameters instead.',
};

function tooMany(count: number): Problem {
  return {
    status: 400,
    code: 'warm-too-many',
    title: 'Too many requests to warm',
    detail: `That would be ${count} requests; ${maxRequests} is the most of one call.`,
    extra: { limit: maxRequests },
  };
}
