import type { UpstreamConfig } from '../core/config.ts';
import { foldWithheld } from '../core/query.ts';
import { maskedValues } from '../core/secret-values.ts';
import { buildRouteTable, type RouteTable } from '../core/route-table.ts';
import type { ContentRules, Route } from '../core/route.ts';
import { type Compilation, cleanItems } from './compilation.ts';
import { compileParams } from './compile-params.ts';
import { compilePolicy, type GivenRoute } from './compile-policy.ts';
import { checkRouteWords, placesOf } from './route-words.ts';
import type { RouteInput } from './schema-routes.ts';
import { isWritten, type Path, textAt } from './source.ts';
import { formatSize, quoted } from './units.ts';

const defaultForwardHeaders = ['accept', 'accept-language', 'accept-encoding', 'user-agent'];

/** What {@link compileRoutes} gives. */
export interface CompiledRoutes {
  /** The routes that are sound, by their place in the file. */
  readonly byPlace: ReadonlyMap<number, Route>;
  /** `undefined` where some route is not sound: then nothing can be said of what governs a path. */
  readonly table: RouteTable | undefined;
}

/** The routes that are sound, and all of them as requests find them. */
export function compileRoutes(
  compilation: Compilation,
  upstreams: ReadonlyMap<string, UpstreamConfig>,
): CompiledRoutes {
  const routes = new Map<number, Route>();
  for (const index of cleanItems(compilation, ['routes'])) {
    const input = compilation.input.routes[index];
    if (!input) continue;
    routes.set(index, compileRoute(compilation, ['routes', index], { input, upstream: upstreams.get(input.upstream) }));
  }
  checkRouteNames(compilation);
  for (const index of placesOf(compilation)) {
    checkRouteWords(compilation, index);
    if (!compilation.issues.isClean(['routes', index])) routes.delete(index);
  }
  const table = tableOf(compilation, routes);
  return { byPlace: routes, table: compilation.issues.isClean(['routes']) ? table : undefined };
}

function checkRouteNames(compilation: Compilation): void {
  const first = new Map<string, number>();
  for (const index of placesOf(compilation)) {
    const name = textAt(compilation.root, ['routes', index, 'name']);
    if (name === undefined) continue;
    const other = first.get(name);
    const message = `${quoted(name)} is the name of routes[${other ?? 0}] already`;
    if (other !== undefined) compilation.issues.add(['routes', index, 'name'], message);
    else first.set(name, index);
  }
}

/** What only the table of all routes can see: patterns that are none, and routes that could match the same path. */
function tableOf(compilation: Compilation, routes: ReadonlyMap<number, Route>): RouteTable | undefined {
  const table = buildRouteTable([...routes.values()]);
  if (table.ok) return table.value;
  const places = new Map([...routes].map(([index, route]) => [route.name, index]));
  for (const issue of table.error) {
    const index = places.get(issue.route);
    if (index === undefined) compilation.issues.add(['routes'], issue.message);
    else compilation.issues.add(['routes', index, ...optionOf(issue.message)], withoutOption(issue.message));
  }
  return undefined;
}

/** A message that begins with the name of an option is about it; the others are about which paths match. */
const aboutOption = /^(match|forward|pathParams|tags|expireAt): /;

function optionOf(message: string): Path {
  return [aboutOption.exec(message)?.[1] ?? 'match'];
}

function withoutOption(message: string): string {
  return message.replace(aboutOption, '');
}

function compileRoute(compilation: Compilation, path: Path, given: GivenRoute): Route {
  const { input, upstream } = given;
  const params = compileParams(compilation, [...path, 'query'], input.query);
  const pathParams = compileParams(compilation, [...path, 'pathParams'], input.pathParams);
  const secret = [...(input.secret ?? []), ...(upstream?.credentials.query.keys() ?? [])].map((name) =>
    name.toLowerCase(),
  );
  const rawQuery = isUnruled(input) && secret.length === 0;
  const route: Route = {
    name: input.name,
    match: input.match,
    host: input.host,
    listener: input.listener,
    upstream: input.upstream,
    forward: input.forward,
    cache: input.cache ? 'on' : 'off',
    onLeaseLost: input.onLeaseLost,
    policy: compilePolicy(compilation, path, given),
    params,
    pathParams,
    unknownQuery: input.unknownQuery,
    rawQuery,
    ignore: [...new Set(input.ignore)],
    secret: [...new Set(secret)],
    headers: lowered(input.headers ?? []),
    forwardHeaders: lowered(forwardedBy(input)),
    forwardsAuthorization: forwardsAuthorization(given),
    asksPlain: asksPlain(given),
    tags: input.tags ?? [],
    tagsFrom: [...new Set(input.tagsFrom)],
    maxUpstreamTags: input.maxUpstreamTags,
    content: compileContent(compilation, [...path, 'content'], input),
    noVarySearch: rawQuery && input.noVarySearch !== false,
    showKey: input.showKey,
    maxKeyBytes: input.maxKeyBytes,
    maxKeys: input.maxKeys,
  };
  checkParameterNames(compilation, path, route);
  checkUpstreamFields(compilation, path, given);
  checkNoVarySearch(compilation, [...path, 'noVarySearch'], { given, rawQuery });
  return route;
}

/** By its own words; credentials of the upstream in the query are the other thing that can keep it from being keyed raw. */
function isUnruled(input: RouteInput): boolean {
  const rules = Object.keys(input.query).length + (input.ignore ?? []).length + (input.secret ?? []).length;
  return input.upstreamCacheControl === 'honour' && rules === 0 && input.unknownQuery === 'keep';
}

function lowered(names: readonly string[]): readonly string[] {
  return [...new Set(names.map((name) => name.toLowerCase()))];
}

/** What is written down on another route is an issue already. */
function forwardedBy(input: RouteInput): readonly string[] {
  if (input.upstreamCacheControl !== 'honour') return [];
  return input.forwardHeaders ?? defaultForwardHeaders;
}

/** By name or by `*`, unless the upstream's own settings put one on. */
function forwardsAuthorization({ input, upstream }: GivenRoute): boolean {
  const isOurs = upstream?.credentials.headers.has('authorization') || upstream?.fields.has('authorization');
  return isOurs !== true && lowered(forwardedBy(input)).some((name) => name === '*' || name === 'authorization');
}

function asksPlain({ input, upstream }: GivenRoute): boolean {
  const isOpen = !input.cache || input.upstreamCacheControl === 'honour';
  return isOpen && upstream !== undefined && maskedValues(upstream.credentials).length > 0;
}

/** Content that the listener refuses first would never be keyed: the default gives way to it, what was written down does not. */
function compileContent(compilation: Compilation, path: Path, input: RouteInput): ContentRules | undefined {
  if (input.content === undefined) return undefined;
  const { methods, as, maxBytes } = input.content;
  const place = [...path, 'maxBytes'];
  const limits = compilation.issues.isClean(['server']) ? compilation.input.server.limits : undefined;
  for (const option of ['maxBodyBytes', 'maxContentBytes'] as const) {
    const most = limits?.[option] ?? Infinity;
    if (maxBytes <= most || !isWritten(compilation.root, place)) continue;
    const message = `is larger than the listener takes (server.limits.${option} is ${formatSize(most)})`;
    compilation.issues.add(place, message);
  }
  const most = Math.min(limits?.maxBodyBytes ?? Infinity, limits?.maxContentBytes ?? Infinity);
  return { methods: [...new Set(methods)], as, maxBytes: Math.min(maxBytes, most) };
}

function checkNoVarySearch(
  compilation: Compilation,
  path: Path,
  { given: { input }, rawQuery }: { readonly given: GivenRoute; readonly rawQuery: boolean },
): void {
  if (input.noVarySearch !== true || rawQuery) return;
  const message = isUnruled(input)
    ? `does not work with the credentials of ${input.upstream} in the query: what clients send by these names is dropped, so the query is not keyed as it comes`
    : 'only works with upstreamCacheControl: honour and without a rule for the query: rules say already what counts';
  compilation.issues.add(path, message);
}

/** A name has one meaning: a rule, ignored, or secret. */
function checkParameterNames(compilation: Compilation, path: Path, route: Route): void {
  const ignored = new Set(route.ignore);
  const secret = new Set(route.secret.map(foldWithheld));
  for (const rule of route.params.values()) {
    for (const name of [rule.name, ...rule.aliases]) {
      const place = [...path, 'query', rule.name];
      if (ignored.has(name)) compilation.issues.add(place, `${quoted(name)} is ignored by this route too`, 'key');
      if (!secret.has(foldWithheld(name))) continue;
      const message = `${quoted(name)} is secret here (by the route, or by the credentials of ${route.upstream}): what clients send is dropped, so a rule has no effect`;
      compilation.issues.add(place, message, 'key');
    }
  }
}

/** A field that the upstream's own settings put on: what a client sends never gets there, so it must not be keyed. */
function checkUpstreamFields(compilation: Compilation, path: Path, { input, upstream }: GivenRoute): void {
  if (!upstream) return;
  for (const option of ['headers', 'forwardHeaders'] as const) {
    // Only what is written down: the fields that are forwarded by default may be set by the upstream.
    for (const [index, written] of (input[option] ?? []).entries()) {
      const name = written.toLowerCase();
      const place = [...path, option, index];
      if (upstream.credentials.headers.has(name)) {
        const message = `${name} is put on by the credentials of ${upstream.name}; what clients send is dropped`;
        compilation.issues.add(place, message);
      } else if (upstream.fields.has(name)) {
        const message = `${name} is set by the fields of ${upstream.name}; what clients send never gets there`;
        compilation.issues.add(place, message);
      }
    }
  }
}
