import { compareRanks, mayOverlap, segmentsOf, variantsOf, type PatternSegment } from './pattern-rank.ts';
import type { ProxyRequest } from './request.ts';
import { parsePattern, patternRegExp, type PatternPart } from './route-pattern.ts';
import { planRoute, type RoutePlan } from './route-plan.ts';
import type { Route } from './route.ts';
import { ok, refused, type Result } from './problem.ts';

/** What is wrong with a route, for the one who wrote it. */
export interface RouteIssue {
  readonly route: string;
  /** The route that it is in conflict with. */
  readonly other?: string;
  readonly message: string;
}

/** All routes, made ready for {@link matchRoute}. */
export interface RouteTable {
  /** In the order of the file. */
  readonly routes: readonly Route[];
  /** Hosts that routes name: those of absolute-form targets that are ours. */
  readonly hosts: ReadonlySet<string>;
  readonly byName: ReadonlyMap<string, Route>;
  /** In the order of the file. */
  readonly plans: readonly RoutePlan[];
  /** By host and then by listener; `undefined` is any. */
  readonly bindings: ReadonlyMap<string | undefined, ReadonlyMap<string | undefined, Binding>>;
}

/** Routes for one host and listener. */
interface Binding {
  /** By whole path. */
  readonly literals: Map<string, PatternEntry>;
  /** Most specific first. */
  readonly patterns: PatternEntry[];
}

interface PatternEntry {
  readonly plan: RoutePlan;
  readonly segments: readonly PatternSegment[];
  /** Text with which each matching path begins; most routes are passed over by it. */
  readonly prefix: string;
  readonly variant: RegExp;
  /** Of a pattern that matches one path only, every time. */
  readonly fixed: RouteMatch | undefined;
}

/** The route that governs a request, and what its pattern found in the path. */
export interface RouteMatch {
  readonly route: Route;
  /** Raw, undecoded; `0`, `1`, … for groups without a name. Groups that took no part are not in it. */
  readonly groups: ReadonlyMap<string, string>;
  readonly plan: RoutePlan;
  /** One for each part of the pattern that is not a literal, in order. */
  readonly captures: readonly (string | undefined)[];
}

const noGroups: ReadonlyMap<string, string> = new Map();

/** Reads all patterns and rules; every issue at once. Routes of which neither is more specific than the other are an issue. */
export function buildRouteTable(routes: readonly Route[]): Result<RouteTable, readonly RouteIssue[]> {
  const issues: RouteIssue[] = [];
  const bindings = new Map<string | undefined, Map<string | undefined, Binding>>();
  const byName = new Map<string, Route>();
  const plans = new Set<RoutePlan>();
  for (const route of routes) {
    if (byName.has(route.name)) issues.push({ route: route.name, message: 'the name is given twice' });
    byName.set(route.name, route);
    const entries = entriesOf(route);
    if (!entries.ok) issues.push(...entries.error.map((message) => ({ route: route.name, message })));
    else {
      addEntries(bindingOf(bindings, route), entries.value, issues);
      for (const { plan } of entries.value) plans.add(plan);
    }
  }
  for (const byListener of bindings.values()) {
    for (const { patterns } of byListener.values()) {
      patterns.sort((a, b) => compareRanks(a.segments, b.segments));
    }
  }
  if (issues.length > 0) return refused(issues);
  const hosts = new Set(routes.flatMap((route) => (route.host === undefined ? [] : [route.host])));
  return ok({ routes, hosts, byName, plans: [...plans], bindings });
}

function bindingOf(bindings: Map<string | undefined, Map<string | undefined, Binding>>, route: Route): Binding {
  const byListener = bindings.get(route.host) ?? new Map<string | undefined, Binding>();
  bindings.set(route.host, byListener);
  const binding = byListener.get(route.listener) ?? { literals: new Map(), patterns: [] };
  byListener.set(route.listener, binding);
  return binding;
}

function entriesOf(route: Route): Result<readonly PatternEntry[], readonly string[]> {
  const parts = parsePattern(route.match);
  if (!parts.ok) return refused([`match: ${parts.error}`]);
  const plan = planRoute(route, parts.value);
  if (!plan.ok) return plan;
  const variants = variantsOf(parts.value);
  if (variants === undefined) return refused(['match: too many optional parts']);
  const isFixed = plan.value.fixedPath !== undefined;
  const fixed = isFixed ? { route, groups: noGroups, plan: plan.value, captures: [] } : undefined;
  return ok(
    variants.map((variant) => ({
      plan: plan.value,
      segments: segmentsOf(variant),
      prefix: prefixOf(variant),
      variant: patternRegExp(variant),
      fixed,
    })),
  );
}

/** The literal beginning; of a pattern without groups all of it. */
function prefixOf(variant: readonly PatternPart[]): string {
  let prefix = '';
  for (const part of variant) {
    if (part.kind === 'literal') prefix += part.text;
    else return part.kind === 'group' ? prefix + part.prefix : prefix;
  }
  return prefix;
}

function isLiteral(entry: PatternEntry): boolean {
  return entry.segments.every((segment) => segment.after === undefined);
}

function addEntries(binding: Binding, entries: readonly PatternEntry[], issues: RouteIssue[]): void {
  const rivals = new Set<string>();
  for (const entry of entries) {
    const others = isLiteral(entry)
      ? [binding.literals.get(entry.prefix)].filter((other) => other !== undefined)
      : binding.patterns.filter(
          (other) => compareRanks(entry.segments, other.segments) === 0 && mayOverlap(entry.segments, other.segments),
        );
    for (const { plan } of others) {
      // Two variants of one pattern may meet: it is the same route either way.
      if (plan.route !== entry.plan.route) rivals.add(plan.route.name);
    }
    if (!isLiteral(entry)) binding.patterns.push(entry);
    else if (others.length === 0) binding.literals.set(entry.prefix, entry);
  }
  const route = entries[0]?.plan.route;
  if (route === undefined) return;
  for (const other of rivals) {
    issues.push({
      route: route.name,
      other,
      message: `match ${route.match} and that of route ${other} can match the same path, and neither is more specific`,
    });
  }
}

/**
 * The route that governs a request: those of its host and listener first, then its host, then its listener, then the
 * rest; in each the most specific pattern, literal segments before named groups before wildcards, left to right.
 * The path is compared byte for byte; nothing is decoded.
 */
export function matchRoute(
  table: RouteTable,
  request: Pick<ProxyRequest, 'path' | 'host' | 'listener'>,
): RouteMatch | undefined {
  const { path, listener } = request;
  const ofHost = table.bindings.get(request.host);
  if (ofHost !== undefined) {
    const found = matchIn(ofHost.get(listener), path) ?? matchIn(ofHost.get(undefined), path);
    if (found !== undefined) return found;
  }
  const ofAny = table.bindings.get(undefined);
  return ofAny && (matchIn(ofAny.get(listener), path) ?? matchIn(ofAny.get(undefined), path));
}

/** So many paths are compared in less time than V8 takes to put one into its table of strings, where a `Map` looks for it. */
const MAX_COMPARED = 8;

function literalOf({ literals }: Binding, path: string): PatternEntry | undefined {
  for (const entry of literals.values()) if (entry.prefix === path) return entry;
  return undefined;
}

function matchIn(binding: Binding | undefined, path: string): RouteMatch | undefined {
  if (binding === undefined) return undefined;
  const literal = binding.literals.size > MAX_COMPARED ? binding.literals.get(path) : literalOf(binding, path);
  if (literal !== undefined) return takeCaptures(literal, path);
  for (const entry of binding.patterns) {
    if (path.startsWith(entry.prefix) && entry.variant.test(path)) return takeCaptures(entry, path);
  }
  return undefined;
}

function takeCaptures(entry: PatternEntry, path: string): RouteMatch {
  const { plan } = entry;
  if (entry.fixed !== undefined) return entry.fixed;
  const captures = (plan.whole.exec(path) ?? []).slice(1);
  const groups = new Map<string, string>();
  let index = 0;
  for (const part of plan.parts) {
    if (part.kind === 'literal') continue;
    const capture = captures[index];
    if (part.kind === 'group' && capture !== undefined) groups.set(part.name, capture);
    index += 1;
  }
  return { route: plan.route, groups, plan, captures };
}

/** The route of that name. */
export function routeByName(table: RouteTable, name: string): Route | undefined {
  return table.byName.get(name);
}
