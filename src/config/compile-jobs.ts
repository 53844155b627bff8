import {
  type PurgeConfig,
  type PurgeSelector,
  type ScheduledPurge,
  type WarmConfig,
  type WarmJob,
  warmingByCall,
} from '../core/config.ts';
import type { Route } from '../core/route.ts';
import type { RouteTable } from '../core/route-table.ts';
import { type Compilation, placesAt, unknownName } from './compilation.ts';
import type { CompiledRoutes } from './compile-routes.ts';
import { isGiven, unlessRefused } from './refused.ts';
import { routeNames } from './route-words.ts';
import type { JobInput, ScheduledPurgeInput } from './schema-jobs.ts';
import { type Path, nodeAt, textAt } from './source.ts';
import { didYouMean } from './suggest.ts';
import { quoted } from './units.ts';

const placeholder = /\{([^{}]*)\}/g;

/** What is to be warmed; jobs of which something was refused are left out. */
export function compileWarm(compilation: Compilation, { byPlace, table }: CompiledRoutes): WarmConfig | undefined {
  const { input } = compilation;
  const jobs: WarmJob[] = [];
  const names = new Set<string>();
  const taken = new Set([warmingByCall, ...writtenNames(compilation)]);
  for (const index of placesAt(compilation, ['warm', 'jobs'])) {
    const path = ['warm', 'jobs', index];
    const job = unlessRefused(() => input.warm.jobs?.[index]);
    if (!job) continue;
    checkName(compilation, path, { job, names });
    checkJob(compilation, path, { job, routes: byPlace });
    unlessRefused(() => checkRequests(compilation, path, { job, table }));
    unlessRefused(() => jobs.push(compileJob(job, taken)));
  }
  checkRouteNames(compilation, ['warm', 'jobs']);
  return unlessRefused(() => ({
    locations: input.warm.locations ?? [],
    jobs,
    concurrency: input.warm.concurrency,
    reuseAbove: input.warm.reuseAbove,
  }));
}

/** Those of jobs further down too: what is written keeps its name, and the default gives way. */
function writtenNames(compilation: Compilation): readonly string[] {
  const { input } = compilation;
  return placesAt(compilation, ['warm', 'jobs']).flatMap(
    (index) => unlessRefused(() => input.warm.jobs?.[index]?.name) ?? [],
  );
}

function compileJob(job: JobInput, taken: Set<string>): WarmJob {
  return {
    name: job.name ?? freeName(job.route, taken),
    route: job.route,
    with: new Map(Object.entries(job.with)),
    everyMs: job.every,
    jitterMs: job.jitter ?? Math.round(job.every / 10),
    zone: job.zone,
  };
}

function checkName(
  { issues }: Compilation,
  path: Path,
  { job, names }: { readonly job: JobInput; readonly names: Set<string> },
): void {
  const name = unlessRefused(() => job.name);
  if (name === undefined) return;
  if (name === warmingByCall) {
    const message = `${quoted(name)} is what reports and metrics call warming by call; give the job another name`;
    issues.add([...path, 'name'], message);
  }
  if (names.has(name)) issues.add([...path, 'name'], `${quoted(name)} is the name of another job already`);
  names.add(name);
}

function checkJob(
  compilation: Compilation,
  path: Path,
  { job, routes }: { readonly job: JobInput; readonly routes: ReadonlyMap<number, Route> },
): void {
  const name = unlessRefused(() => job.route);
  const route = [...routes.values()].find((known) => known.name === name);
  if (route) unlessRefused(() => checkParameters(compilation, path, { job, route }));
  const templates = unlessRefused(() => job.with) ?? {};
  for (const parameter of Object.keys(templates)) {
    unlessRefused(() => checkPlaceholders(compilation, [...path, 'with', parameter], templates[parameter] ?? ''));
  }
}

/** What only a whole request shows: values that the rules refuse, groups of the path that are missing. */
function checkRequests(
  { checks, input, issues }: Compilation,
  path: Path,
  { job, table }: { readonly job: JobInput; readonly table: RouteTable | undefined },
): void {
  // Another issue of what is asked for says more.
  const isSound = ['route', 'with', 'zone'].every((option) => issues.isClean([...path, option]));
  if (!table || !isSound || !issues.isClean(['warm', 'locations'])) return;
  const requests = { route: job.route, with: new Map(Object.entries(job.with)), zone: job.zone };
  const problem = checks.checkWarmJob?.(table, requests, input.warm.locations ?? []);
  if (problem === undefined) return;
  const name = Object.keys(job.with).find((one) => problem.includes(JSON.stringify(one)));
  const place = name === undefined ? ['with'] : ['with', name];
  issues.add([...path, ...place], `makes no request of route ${job.route}: ${problem}`);
}

/** Is taken then. */
function freeName(route: string, taken: Set<string>): string {
  let name = route;
  for (let number = 2; taken.has(name); number += 1) name = `${route}-${number}`;
  taken.add(name);
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
      const isNone = !isGiven(() => compilation.input.warm.locations);
      if (isNone) compilation.issues.add(path, '{location} stands for each of warm.locations, but there are none');
    } else if (!/^today(?:[+-]\d{1,4}d)?$/.test(name)) {
      compilation.issues.add(path, `{${name}} is no placeholder; valid: {location}, {today}, {today+7d}, {today-1d}`);
    }
  }
}

/** Purges by the clock; those of which something was refused are left out. */
export function compilePurge(compilation: Compilation, table: RouteTable | undefined): PurgeConfig {
  const { checks, input, issues } = compilation;
  const schedule: ScheduledPurge[] = [];
  for (const index of placesAt(compilation, ['purge', 'schedule'])) {
    const path = ['purge', 'schedule', index];
    const given = unlessRefused(() => input.purge.schedule?.[index]);
    if (!given) continue;
    const problem = unlessRefused(() => checks.checkCron?.(given.cron));
    if (problem !== undefined) issues.add([...path, 'cron'], problem);
    const selector = selectorOf(compilation, path, given);
    unlessRefused(() => checkPurgeUrl(compilation, [...path, 'url'], { url: given.url, table }));
    unlessRefused(() => {
      if (selector) schedule.push({ cron: given.cron, zone: given.zone, selector, soft: given.soft });
    });
  }
  checkRouteNames(compilation, ['purge', 'schedule']);
  return { schedule };
}

function checkPurgeUrl(
  compilation: Compilation,
  path: Path,
  given: { readonly url: string | undefined; readonly table: RouteTable | undefined },
): void {
  if (!given.table || given.url === undefined || !compilation.issues.isClean(path)) return;
  const problem = compilation.checks.checkPurgeUrl?.(given.table, given.url);
  if (problem !== undefined) compilation.issues.add(path, problem);
}

const selectors = ['route', 'tag', 'tags', 'prefix', 'url', 'key', 'all'] as const;

function selectorOf(compilation: Compilation, path: Path, input: ScheduledPurgeInput): PurgeSelector | undefined {
  const given = selectors.filter((name) => isGiven(() => input[name]));
  for (const name of given) unlessRefused(() => checkSelector(compilation, [...path, name], { name, input }));
  const [first, second] = given;
  if (first !== undefined && second === undefined) return unlessRefused(() => selectorBy(first, input));
  const names = given.length === 0 ? 'none' : given.join(' and ');
  compilation.issues.add(path, `needs exactly one of ${selectors.join(', ')}; given ${names}`);
  return undefined;
}

function selectorBy(name: (typeof selectors)[number], input: ScheduledPurgeInput): PurgeSelector | undefined {
  const { route, tag, tags = [], prefix, url, key } = input;
  if (name === 'all') return { by: 'all' };
  if (name === 'tags' || name === 'tag') return { by: 'tags', tags: tag === undefined ? tags : [tag] };
  if (route !== undefined) return { by: 'route', route };
  if (prefix !== undefined) return { by: 'prefix', prefix };
  if (url !== undefined) return { by: 'url', url };
  return key === undefined ? undefined : { by: 'key', key };
}

function checkSelector(
  { issues }: Compilation,
  path: Path,
  { name, input }: { readonly name: (typeof selectors)[number]; readonly input: ScheduledPurgeInput },
): void {
  const { [name]: value } = input;
  if (name === 'all' && value === false) issues.add(path, 'can only be true');
  if (typeof value !== 'string') return;
  if (name === 'url' && !/^(?:\/|https?:\/\/)/i.test(value))
    issues.add(path, `must begin with /, given ${quoted(value)}`);
  if (name === 'prefix' && !value.startsWith('/')) {
    issues.add(path, `must begin with / (with //host/ for routes that name a host), given ${quoted(value)}`);
  }
}
