import { hashOn } from './hash-on.ts';
import { keepsOrder, parseForward, parseTemplate, templateNames, type TemplatePiece } from './forward.ts';
import { groupEnds, type GroupEnds } from './group-ends.ts';
import { byCodeUnit, compileParam, type CompiledParam } from './normalise.ts';
import type { ParamRule } from './params.ts';
import { ok, refused, type Result } from './problem.ts';
import { slowIssue } from './pattern-cuts.ts';
import { decodeQueryText, encodeQueryValue, foldWithheld } from './query.ts';
import type { Route } from './route.ts';
import { patternRegExp, type GroupPart, type PatternPart } from './route-pattern.ts';
import { parseTags, type TagTemplate } from './tags.ts';

/** A query parameter with a rule. */
export interface ParamSlot extends CompiledParam {
  /** Canonical percent-encoding of the name. */
  readonly encodedName: string;
  /** The same with the `=` behind it. */
  readonly prefix: string;
  /** The parameter with its default, as it stands in a canonical query; empty where it has none. */
  readonly spelt: string;
  /** Its default, as what a value comes to. */
  readonly usual: Result<string | undefined>;
}

/** A route with everything that does not depend on the request worked out once. */
export interface RoutePlan {
  readonly route: Route;
  readonly parts: readonly PatternPart[];
  /** `undefined`: the path as received. */
  readonly forward: readonly TemplatePiece[] | undefined;
  /** The forward path where no group is in it. */
  readonly fixedForward: string | undefined;
  /** Canonical path on the proxy where the route matches one path only. */
  readonly fixedPath: string | undefined;
  /** Groups of `match` that do not reach upstream. */
  readonly dropped: ReadonlySet<string>;
  readonly pathParams: ReadonlyMap<string, CompiledParam>;
  readonly ends: GroupEnds;
  /** Of `match` as a whole: takes the captures. */
  readonly whole: RegExp;
  /** Whether it is by `match` that a path upstream says what its groups were. Else `forward` does, whatever is in them. */
  readonly isToldByMatch: boolean;
  /** In the order of their encoded names. */
  readonly slots: readonly ParamSlot[];
  /** What a decoded query name (aliases included) means: an index of `slots`, or that it is dropped. */
  readonly names: ReadonlyMap<string, number | 'drop'>;
  /**
   * Those of them that mean themselves where they stand in a query as they are. A list, since few are of the length of the one that
   * is looked for: a `Map` has V8 put each text that it is asked for into its table of strings, which takes longer.
   */
  readonly plainNames: readonly PlainName[];
  /** One place for each slot, with nothing in it. */
  readonly noneGiven: readonly undefined[];
  /** Index of the slot of each parameter, by its own name. */
  readonly slotOf: ReadonlyMap<string, number>;
  /** What hashes of its values begin with. */
  readonly seed: number;
  /** Whether some slot's value is secret. */
  readonly hasSecret: boolean;
  /** As {@link foldWithheld} writes them. */
  readonly secretNames: ReadonlySet<string>;
  readonly headers: readonly KeyedHeader[];
  /** Route name as the key begins with it. */
  readonly keyPrefix: string;
  readonly urlPrefix: string;
  readonly fixedTags: readonly string[];
  readonly tags: readonly TagTemplate[];
  /** The parameter or group that names the zone of `expireAt`; `undefined` where the zone is fixed. */
  readonly zoneName: string | undefined;
}

/** A name of {@link RoutePlan.names}, and what it means. */
interface PlainName {
  readonly name: string;
  readonly meaning: number | 'drop';
}

interface KeyedHeader {
  readonly name: string;
  readonly encodedName: string;
  /** Enters the key as a digest. */
  readonly secret: boolean;
}

/** Fields whose values are credentials, or may be by their name. */
const CREDENTIAL = /auth|cookie|token|secret|key|passw|session|signature|credential/;

/** A cut key has to hold `#` and a SHA-256, and should still say something. */
const MIN_KEY_BYTES = 96;

/** Works out a route's plan; the errors are sentences about it. */
export function planRoute(route: Route, parts: readonly PatternPart[]): Result<RoutePlan, readonly string[]> {
  const issues: string[] = [];
  const groups = parts.flatMap((part) => (part.kind === 'group' ? [part] : []));
  const forward = forwardOf(route, parts, issues);
  const dropped = droppedBy(forward, groups);
  checkPathParams(route, groups, issues);
  const tags = tagsOf(route, groups, issues);
  const zoneName = zoneNameOf(route, groups, issues);
  checkDropped(route, zoneName, dropped, issues);
  const slots = slotsOf(route, issues);
  const names = namesOf(route, slots, issues);
  const pathParams = compileAll(route.pathParams, issues);
  const slow = slowIssue(parts);
  if (slow !== undefined) issues.push(`match: ${slow}`);
  if (route.maxKeyBytes < MIN_KEY_BYTES) issues.push(`maxKeyBytes must be at least ${MIN_KEY_BYTES}`);
  if (issues.length > 0) return refused(issues);
  return ok({
    route,
    parts,
    ...pathsOf(route, parts, forward),
    dropped,
    pathParams,
    slots,
    names,
    plainNames: [...names]
      .filter(([name]) => decodeQueryText(name) === name)
      .map(([name, meaning]) => ({ name, meaning })),
    noneGiven: slots.map(() => undefined),
    slotOf: new Map(slots.map((slot, index) => [slot.rule.name, index])),
    seed: hashOn(0, route.name),
    hasSecret: slots.some((slot) => slot.rule.secret),
    secretNames: new Set(route.secret.map(foldWithheld)),
    headers: headersOf(route),
    keyPrefix: encodeQueryValue(route.name),
    urlPrefix: route.host === undefined ? '' : `//${route.host}`,
    fixedTags: [`route:${route.name}`, `upstream:${route.upstream}`],
    tags,
    zoneName,
  });
}

function pathsOf(
  route: Route,
  parts: readonly PatternPart[],
  forward: readonly TemplatePiece[] | undefined,
): Pick<RoutePlan, 'forward' | 'fixedForward' | 'fixedPath' | 'ends' | 'whole' | 'isToldByMatch'> {
  return {
    ends: groupEnds(parts),
    whole: patternRegExp(parts),
    isToldByMatch: forward === undefined || keepsOrder(forward, parts),
    forward,
    fixedForward: forward === undefined || templateNames(forward).length === 0 ? route.forward : undefined,
    fixedPath: parts.every((part) => part.kind === 'literal') ? parts.map((part) => part.text).join('') : undefined,
  };
}

function droppedBy(forward: readonly TemplatePiece[] | undefined, groups: readonly GroupPart[]): ReadonlySet<string> {
  const used = new Set(forward === undefined ? [] : templateNames(forward));
  const names = groups.map((group) => group.name);
  return new Set(forward === undefined ? [] : names.filter((name) => !used.has(name)));
}

/**
 * What reaches neither upstream nor the key must not say how the response is kept: requests that differ in it share one, whose tags and
 * zone would be those of whoever came first, so that a purge by the tag of another would not find what that one is given.
 */
function checkDropped(
  route: Route,
  zoneName: string | undefined,
  dropped: ReadonlySet<string>,
  issues: string[],
): void {
  const words = 'is not in forward, so that requests which differ in it share one stored response';
  const inTags = new Set(route.tags.flatMap((tag) => templateNames(parseTemplate(tag) ?? [])));
  for (const name of inTags) if (dropped.has(name)) issues.push(`tags: {${name}} ${words}; leave the tag out`);
  if (zoneName !== undefined && dropped.has(zoneName)) issues.push(`expireAt: {${zoneName}} ${words}`);
}

function forwardOf(
  route: Route,
  parts: readonly PatternPart[],
  issues: string[],
): readonly TemplatePiece[] | undefined {
  if (route.forward === undefined) return undefined;
  const forward = parseForward(route.forward, parts, route.pathParams);
  if (forward.ok) return forward.value;
  issues.push(forward.error);
  return undefined;
}

function checkPathParams(route: Route, groups: readonly GroupPart[], issues: string[]): void {
  for (const name of route.pathParams.keys()) {
    const group = groups.find((one) => one.name === name);
    if (group === undefined) issues.push(`pathParams: match has no group "${name}"`);
    else if (group.matcher === 'wildcard' || group.modifier === '*' || group.modifier === '+') {
      issues.push(`pathParams: group "${name}" can hold several segments, so it cannot have a rule`);
    }
  }
}

function tagsOf(route: Route, groups: readonly GroupPart[], issues: string[]): readonly TagTemplate[] {
  const ofPath = new Set(groups.map((group) => group.name));
  const tags = parseTags(route, new Set([...route.params.keys(), ...ofPath]));
  issues.push(...tags.filter((tag) => typeof tag === 'string'));
  for (const tag of route.tags) {
    const both = templateNames(parseTemplate(tag) ?? []).find((name) => route.params.has(name) && ofPath.has(name));
    if (both === undefined) continue;
    issues.push(`tags: {${both}} is a query parameter and a group of match; rename the group`);
  }
  return tags.filter((tag) => typeof tag !== 'string');
}

function zoneNameOf(route: Route, groups: readonly GroupPart[], issues: string[]): string | undefined {
  const { expireAt } = route.policy;
  if (expireAt?.kind !== 'daily') return undefined;
  const name = /^\{([^{}]+)\}$/.exec(expireAt.zone)?.[1];
  if (name === undefined) return undefined;
  const isGroup = groups.some((group) => group.name === name);
  const isParam = route.params.has(name);
  if (!isGroup && !isParam) issues.push(`expireAt: no parameter or group "${name}"`);
  if (isGroup && isParam)
    issues.push(`expireAt: {${name}} is a query parameter and a group of match; rename the group`);
  return name;
}

function compileAll(rules: ReadonlyMap<string, ParamRule>, issues: string[]): Map<string, CompiledParam> {
  const compiled = new Map<string, CompiledParam>();
  for (const [name, rule] of rules) {
    const param = compileParam(rule);
    if (param.ok) compiled.set(name, param.value);
    else issues.push(`parameter "${name}": ${param.error}`);
  }
  return compiled;
}

function slotOf(param: CompiledParam): ParamSlot {
  const encodedName = encodeQueryValue(param.rule.name);
  const prefix = `${encodedName}=`;
  const spelt = param.default === undefined ? '' : prefix + encodeQueryValue(param.default);
  return { ...param, encodedName, prefix, spelt, usual: ok(param.default) };
}

function slotsOf(route: Route, issues: string[]): readonly ParamSlot[] {
  return [...compileAll(route.params, issues).values()]
    .map((param) => slotOf(param))
    .toSorted((a, b) => byCodeUnit(a.encodedName, b.encodedName));
}

function namesOf(route: Route, slots: readonly ParamSlot[], issues: string[]): ReadonlyMap<string, number | 'drop'> {
  const names = new Map<string, number | 'drop'>();
  const secret = new Set(route.secret.map(foldWithheld));
  for (const [index, slot] of slots.entries()) {
    for (const name of [slot.rule.name, ...slot.rule.aliases]) {
      if (names.has(name)) issues.push(`query: the name "${name}" stands for more than one parameter`);
      if (secret.has(foldWithheld(name)))
        issues.push(`query: "${name}" is a parameter and secret, so it never gets upstream`);
      names.set(name, index);
    }
  }
  for (const name of route.ignore) {
    if (typeof names.get(name) === 'number') issues.push(`query: "${name}" is a parameter and ignored`);
    else names.set(name, 'drop');
  }
  return names;
}

function headersOf(route: Route): readonly KeyedHeader[] {
  return [...new Set(route.headers.map((name) => name.toLowerCase()))]
    .toSorted(byCodeUnit)
    .map((name) => ({ name, encodedName: encodeQueryValue(name), secret: CREDENTIAL.test(name) }));
}
