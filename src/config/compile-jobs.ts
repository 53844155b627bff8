import type { PurgeConfig, PurgeSelector, ScheduledPurge, WarmConfig, WarmJob } from '../core/config.ts';
import type { Route } from '../core/route.ts';
import type { RouteTable } from '../core/route-table.ts';
import { type Compilation, cleanItems, unknownName } from './compilation.ts';
import type { CompiledRoutes } from './compile-routes.ts';
import { routeNames } from './route-words.ts';
import type { JobInput, ScheduledPurgeInput } from './schema-jobs.ts';
import { type Path, nodeAt, textAt } from './source.ts';
import { didYouMean } from './suggest.ts';
import { quoted } from './units.ts';

const placeholder = /\{([^{}]*)\}/g;

/** What is to be warmed; jobs with issues are left out. */
export function compileWarm(compilation: Compilation, { byPlace, table }: CompiledRoutes): WarmConfig {
  const input = compilation.input.warm;
  const jobs: WarmJob[] = [];
  for (const index of cleanItems(compilation, ['warm', 'jobs'])) {
    const job = input?.jobs?.[index];
    if (job) jobs.push(compileJob(compilation, ['warm', 'jobs', index], { job, routes: byPlace, before: jobs }));
    checkRequests(compilation, ['warm', 'jobs', index], { job: jobs.at(-1), table });
  }
  checkRouteNames(compilation, ['warm', 'jobs']);
  return {
    locations: input?.locations ?? [],
    jobs,
    concurrency: input?.concurrency ?? 4,
    reuseAbove: input?.reuseAbove ?? 0.5,
  };
}

function compileJob(
  compilation: Compilation,
  path: Path,
  given: { readonly job: JobInput; readonly routes: ReadonlyMap<number, Route>; readonly before: readonly WarmJob[] },
): WarmJob {
  const { job, routes, before } = given;
  const route = [...routes.values()].find((known) => known.name === job.route);
  if (route) checkParameters(compilation, path, { job, route });
  for (const [name, template] of Object.entries(job.with))
    checkPlaceholders(compilation, [...path, 'with', name], template);
  if (job.name !== undefined && before.some((other) => other.name === job.name)) {
    compilation.issues.add([...path, 'name'], `${quoted(job.name)} is the name of another job already`);
  }
  return {
    name: job.name ?? freeName(job.route, before),
    route: job.route,
    with: new Map(Object.entries(job.with)),
    everyMs: job.every,
    jitterMs: job.jitter ?? Math.round(job.every / 10),
    zone: job.zone,
  };
}

/** What only a whole request shows: values that the rules refuse, groups of the path that are missing. */
function checkRequests(
  compilation: Compilation,
  path: Path,
  given: { readonly job: WarmJob | undefined; readonly table: RouteTable | undefined },
): void {
  const { job, table } = given;
  // Another issue of the job says more.
  if (!job || !table || !compilation.issues.isClean(path) || !compilation.issues.isClean(['warm', 'locations'])) return;
  const locations = compilation.input.warm?.locations ?? [];
  const problem = compilation.checks.checkWarmJob?.(table, job, locations);
  if (problem === undefined) return;
  const name = [...job.with.keys()].find((one) => problem.includes(JSON.stringify(one)));
  const place = name === undefined ? ['with'] : ['with', name];
  compilation.issues.add([...path, ...place], `makes no request of route ${job.route}: ${problem}`);
}

function freeName(route: string, before: readonly WarmJob[]): string {
  const taken = new Set(before.map((job) => job.name));
  let name = route;
  for (let number = 2; taken.has(name); number += 1) name = `${route}-${number}`;
  return name;
}

/** The routes that the items of a list name, whatever else is wrong with the items. */
function checkRouteNames(compilation: Compilation, list: Path): void {
  const names = routeNames(compilation);
  const node = nodeAt(compilation.root, list);
  for (const index of node?.kind === 'list' ? node.items.keys() : []) {
    const path = [...list, index, 'route'];
    const name = textAt(compilation.root, path);
    if (name === undefined || names.includes(name)) continue;
    compilation.issues.add(path, unknownName('route', name, names));
  }
}

function checkParameters(
  compilation: Compilation,
  path: Path,
  given: { readonly job: JobInput; readonly route: Route },
): void {
  const { job, route } = given;
  if (route.cache === 'off') {
    compilation.issues.add([...path, 'route'], `route ${route.name} has cache: off, so there is nothing to warm`);
    return;
  }
  const rules = [...route.params.values()];
  const groups = [...route.match.matchAll(/:([\p{ID_Start}$_][\p{ID_Continue}$]*)/gu)].map((found) => found[1] ?? '');
  const known = [...rules.flatMap((rule) => [rule.name, ...rule.aliases]), ...groups];
  const strict = route.unknownQuery !== 'keep';
  for (const name of Object.keys(job.with)) {
    const stray = route.ignore.includes(name) || route.secret.includes(name.toLowerCase());
    // Numbers name the groups of match that have no name.
    const unknown = !known.includes(name) && strict && !/^\d+$/.test(name);
    const message = `route ${route.name} has no parameter ${quoted(name)}${didYouMean(name, known)}`;
    if (stray || unknown) compilation.issues.add([...path, 'with', name], message, 'key');
  }
  for (const rule of rules) {
    const present = [rule.name, ...rule.aliases].some((name) => Object.hasOwn(job.with, name));
    const message = `route ${route.name} needs the parameter ${quoted(rule.name)}`;
    if (rule.required && !present) compilation.issues.add([...path, 'with'], message);
  }
}

function checkPlaceholders(compilation: Compilation, path: Path, template: string): void {
  for (const [, name = ''] of template.matchAll(placeholder)) {
    if (name === 'location') {
      const none = compilation.issues.isClean(['warm', 'locations']) && compilation.input.warm?.locations === undefined;
      if (none) compilation.issues.add(path, '{location} stands for each of warm.locations, but there are none');
    } else if (!/^today(?:[+-]\d{1,4}d)?$/.test(name)) {
      compilation.issues.add(path, `{${name}} is no placeholder; valid: {location}, {today}, {today+7d}, {today-1d}`);
    }
  }
}

/** Purges by the clock; those with issues are left out. */
export function compilePurge(compilation: Compilation, table: RouteTable | undefined): PurgeConfig {
  const schedule: ScheduledPurge[] = [];
  for (const index of cleanItems(compilation, ['purge', 'schedule'])) {
    const path = ['purge', 'schedule', index];
    const input = compilation.input.purge?.schedule?.[index];
    const selector = input && selectorOf(compilation, path, input);
    if (!input || !selector) continue;
    const problem = compilation.checks.checkCron?.(input.cron);
    if (problem !== undefined) compilation.issues.add([...path, 'cron'], problem);
    if (selector.by === 'url') checkPurgeUrl(compilation, [...path, 'url'], { url: selector.url, table });
    schedule.push({ cron: input.cron, zone: input.zone, selector, soft: input.soft });
  }
  checkRouteNames(compilation, ['purge', 'schedule']);
  return { schedule };
}

function checkPurgeUrl(
  compilation: Compilation,
  path: Path,
  given: { readonly url: string; readonly table: RouteTable | undefined },
): void {
  if (!given.table || !compilation.issues.isClean(path)) return;
  const problem = compilation.checks.checkPurgeUrl?.(given.table, given.url);
  if (problem !== undefined) compilation.issues.add(path, problem);
}

function selectorOf(compilation: Compilation, path: Path, input: ScheduledPurgeInput): PurgeSelector | undefined {
  const found: (readonly [string, PurgeSelector])[] = [];
  if (input.route !== undefined) found.push(['route', { by: 'route', route: input.route }]);
  if (input.tag !== undefined) found.push(['tag', { by: 'tags', tags: [input.tag] }]);
  if (input.tags !== undefined) found.push(['tags', { by: 'tags', tags: input.tags }]);
  if (input.prefix !== undefined) found.push(['prefix', { by: 'prefix', prefix: input.prefix }]);
  if (input.url !== undefined) found.push(['url', { by: 'url', url: input.url }]);
  if (input.key !== undefined) found.push(['key', { by: 'key', key: input.key }]);
  if (input.all !== undefined) found.push(['all', { by: 'all' }]);
  const [first, second] = found;
  if (!first || second) {
    const names = found.map(([name]) => name).join(' and ');
    const message = `needs exactly one of route, tag, tags, prefix, url, key, all; given ${names === '' ? 'none' : names}`;
    compilation.issues.add(path, message);
    return undefined;
  }
  checkSelector(compilation, path, input);
  return first[1];
}

function checkSelector(compilation: Compilation, path: Path, input: ScheduledPurgeInput): void {
  if (input.all === false) compilation.issues.add([...path, 'all'], 'can only be true');
  const { url, prefix } = input;
  if (url !== undefined && !/^(?:\/|https?:\/\/)/i.test(url)) {
    compilation.issues.add([...path, 'url'], `must begin with /, given ${quoted(url)}`);
  }
  if (prefix !== undefined && !prefix.startsWith('/')) {
    const message = `must begin with / (with //host/ for routes that name a host), given ${quoted(prefix)}`;
    compilation.issues.add([...path, 'prefix'], message);
  }
}
