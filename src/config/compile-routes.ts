import { foldWithheld } from '../core/query.ts';
import { readName } from '../core/read-name.ts';
import { maskedValues } from '../core/secret-values.ts';
import { buildRouteTable, type RouteTable } from '../core/route-table.ts';
import type { Route } from '../core/route.ts';
import { type Compilation, placesAt } from './compilation.ts';
import { compileContent } from './compile-content.ts';
import { aliasesOf, compileParams } from './compile-params.ts';
import { compilePolicy, type GivenRoute } from './compile-policy.ts';
import { readable, unlessRefused } from './refused.ts';
import { outlineOf } from './route-outline.ts';
import { checkRouteWords } from './route-words.ts';
import type { RouteInput } from './schema-routes.ts';
import type { UpstreamInput } from './schema-upstreams.ts';
import { type Path, textAt } from './source.ts';
import { quoted } from './units.ts';

const defaultForwardHeaders = ['accept', 'accept-language', 'accept-encoding', 'user-agent'];

/** What {@link compileRoutes} gives. */
export interface CompiledRoutes {
  /** The routes that are sound, by their place in the file. */
  readonly byPlace: ReadonlyMap<number, Route>;
  /** `undefined` where some route is not sound: then nothing can be said of what governs a path. */
  readonly table: RouteTable | undefined;
}

/** The routes that are sound, and all of them as requests find them. */
export function compileRoutes(compilation: Compilation): CompiledRoutes {
  const routes = new Map<number, Route>();
  for (const index of placesAt(compilation, ['routes'])) {
    const input = unlessRefused(() => compilation.input.routes[index]);
    const route = input && compileRoute(compilation, ['routes', index], input);
    if (route) routes.set(index, route);
  }
  checkRouteNames(compilation);
  for (const index of placesAt(compilation, ['routes'])) {
    checkRouteWords(compilation, index);
    if (!compilation.issues.isClean(['routes', index])) routes.delete(index);
  }
  const table = tableOf(compilation, routes);
  return { byPlace: routes, table: compilation.issues.isClean(['routes']) ? table : undefined };
}

function checkRouteNames(compilation: Compilation): void {
  const first = new Map<string, number>();
  for (const index of placesAt(compilation, ['routes'])) {
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
  const places = new Map<string, number>();
  const all = placesAt(compilation, ['routes']).flatMap((index) => {
    const route = routes.get(index) ?? compileOutline(compilation, index);
    if (route) places.set(route.name, index);
    return route ? [route] : [];
  });
  const table = buildRouteTable(all);
  if (table.ok) return table.value;
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

/** Of a route with issues what says which paths it matches: others may be in conflict with it all the same. */
function compileOutline(compilation: Compilation, index: number): Route | undefined {
  const outline = unlessRefused(() => outlineOf(compilation, index));
  // Its own issues are told already.
  const apart = { ...compilation, issues: compilation.issues.another() };
  return outline && compileRoute(apart, ['routes', index], outline);
}

function compileRoute(compilation: Compilation, path: Path, input: RouteInput): Route | undefined {
  const given = { input, upstream: unlessRefused(() => upstreamOf(compilation, input)) };
  const params = unlessRefused(() => compileParams(compilation, [...path, 'query'], input.query));
  const pathParams = unlessRefused(() => compileParams(compilation, [...path, 'pathParams'], input.pathParams));
  const policy = compilePolicy(compilation, path, given);
  const content = unlessRefused(() => compileContent(compilation, [...path, 'content'], input));
  checkParameterNames(compilation, path, given);
  checkUpstreamFields(compilation, path, given);
  unlessRefused(() => checkNoVarySearch(compilation, [...path, 'noVarySearch'], given));
  if (!params || !pathParams || !policy) return undefined;
  return unlessRefused(() => {
    const secret = [...(input.secret ?? []), ...credentialNames(given)].map((name) => name.toLowerCase());
    const rawQuery = isUnruled(input) && secret.length === 0;
    return {
      name: input.name,
      match: input.match,
      host: input.host,
      listener: input.listener,
      upstream: input.upstream,
      forward: input.forward,
      cache: input.cache ? 'on' : 'off',
      onLeaseLost: input.onLeaseLost,
      policy,
      params,
      pathParams,
      unknownQuery: input.unknownQuery,
      rawQuery,
      ignore: [...new Set(input.ignore)],
      secret: [...new Set(secret)],
      headers: lowered(input.headers ?? []),
      forwardHeaders: lowered(forwardedBy(input)),
      forwardsAuthorization: forwardsAuthorization(given),
      putOn: putOn(given),
      asksPlain: asksPlain(given),
      tags: input.tags ?? [],
      tagsFrom: [...new Set(input.tagsFrom)],
      maxUpstreamTags: input.maxUpstreamTags,
      content,
      noVarySearch: rawQuery && input.noVarySearch !== false,
      showKey: input.showKey,
      maxKeyBytes: input.maxKeyBytes,
      maxKeys: input.maxKeys,
    };
  });
}

/** `undefined` where there is none of that name, which is an issue of its own. */
function upstreamOf({ input: { upstreams } }: Compilation, { upstream }: RouteInput): UpstreamInput | undefined {
  return Object.hasOwn(upstreams, upstream) ? upstreams[upstream] : undefined;
}

/** The names of the upstream's credentials in the query. */
function credentialNames({ upstream }: GivenRoute): readonly string[] {
  return Object.keys(upstream?.credentials.query ?? {});
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
function forwardsAuthorization(given: GivenRoute): boolean {
  return (
    !putOn(given).includes('authorization') &&
    lowered(forwardedBy(given.input)).some((name) => name === '*' || name === 'authorization')
  );
}

function putOn({ upstream }: GivenRoute): readonly string[] {
  const names = [...namesIn(() => upstream?.credentials.headers), ...namesIn(() => upstream?.fields)];
  return [...new Set(names.map(readName))];
}

function asksPlain({ input, upstream }: GivenRoute): boolean {
  const isOpen = !input.cache || input.upstreamCacheControl === 'honour';
  if (!isOpen || upstream === undefined) return false;
  const { query, headers } = upstream.credentials;
  const credentials = { query: new Map(Object.entries(query)), headers: new Map(Object.entries(headers)) };
  return maskedValues(credentials).length > 0;
}

/** The names of a map of fields, lower-cased; none where it was refused. */
function namesIn(read: () => object | undefined): readonly string[] {
  return lowered(Object.keys(unlessRefused(read) ?? {}));
}

function checkNoVarySearch(compilation: Compilation, path: Path, given: GivenRoute): void {
  const { input } = given;
  if (input.noVarySearch !== true) return;
  const isRuled = !isUnruled(input);
  if (!isRuled && credentialNames(given).length === 0) return;
  const message = isRuled
    ? 'only works with upstreamCacheControl: honour and without a rule for the query: rules say already what counts'
    : `does not work with the credentials of ${input.upstream} in the query: what clients send by these names is dropped, so the query is not keyed as it comes`;
  compilation.issues.add(path, message);
}

/** A name has one meaning: a rule, ignored, or secret. */
function checkParameterNames({ issues }: Compilation, path: Path, given: GivenRoute): void {
  const { input } = given;
  const listed = (option: 'ignore' | 'secret'): readonly string[] =>
    readable(unlessRefused(() => input[option]) ?? []).map(([, name]) => name);
  const ignored = new Set(listed('ignore'));
  const withheld = [...listed('secret'), ...(unlessRefused(() => credentialNames(given)) ?? [])];
  const secret = new Set(withheld.map((name) => foldWithheld(name.toLowerCase())));
  const rules = unlessRefused(() => input.query) ?? {};
  const upstream = unlessRefused(() => input.upstream) ?? 'its upstream';
  for (const name of Object.keys(rules)) {
    const place = [...path, 'query', name];
    for (const one of [name, ...(unlessRefused(() => aliasesOf(rules[name])) ?? [])]) {
      if (ignored.has(one)) issues.add(place, `${quoted(one)} is ignored by this route too`, 'key');
      if (!secret.has(foldWithheld(one))) continue;
      const message = `${quoted(one)} is secret here (by the route, or by the credentials of ${upstream}): what clients send is dropped, so a rule has no effect`;
      issues.add(place, message, 'key');
    }
  }
}

/** A field that the upstream's own settings put on: what a client sends never gets there, so it must not be keyed. */
function checkUpstreamFields({ issues }: Compilation, path: Path, { input, upstream }: GivenRoute): void {
  if (!upstream) return;
  const [credentials, fields] = [namesIn(() => upstream.credentials.headers), namesIn(() => upstream.fields)];
  for (const option of ['headers', 'forwardHeaders'] as const) {
    // Only what is written down: the fields that are forwarded by default may be set by the upstream.
    for (const [index, written] of readable(unlessRefused(() => input[option]) ?? [])) {
      const name = written.toLowerCase();
      const place = [...path, option, index];
      const who = (names: readonly string[]): string | undefined => setAs(names, name);
      const [secret, set] = [who(credentials), who(fields)];
      if (secret !== undefined) {
        issues.add(place, `${secret} put on by the credentials of ${input.upstream}; what clients send is dropped`);
      } else if (set !== undefined) {
        issues.add(place, `${set} set by the fields of ${input.upstream}; what clients send never gets there`);
      }
    }
  }
}

/** `x-key is`, or the same of what is read so; `undefined` where the upstream does not set it. */
function setAs(names: readonly string[], name: string): string | undefined {
  if (names.includes(name)) return `${name} is`;
  const alike = names.find((one) => readName(one) === readName(name));
  return alike && `${name} is read as ${alike} by some servers, which is`;
}
