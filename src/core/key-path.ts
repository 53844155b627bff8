import { mayEndWithin, withoutEnd } from './group-ends.ts';
import { normaliseValues, type CompiledParam } from './normalise.ts';
import { ok, refused, type Problem, type Result } from './problem.ts';
import { decodePathText, encodePathText } from './query.ts';
import type { GroupPart, PatternPart } from './route-pattern.ts';
import type { RoutePlan } from './route-plan.ts';
import type { RouteMatch } from './route-table.ts';
import { pathIssue, targetProblem } from './target.ts';

/** SHA-256 of the text's UTF-8 bytes, lower-case hex. */
export type Sha256Fn = (text: string) => string;

/** The paths of one request. */
export interface CanonicalPath {
  /** Path upstream. */
  readonly target: string;
  /** The same with digests in the place of secrets. */
  readonly keyed: string;
  /** Canonical path on the proxy, digests likewise. */
  readonly url: string;
  /** Canonical values of groups with a rule, raw ones of the others; digests likewise. */
  readonly values: ReadonlyMap<string, string>;
}

/** Stands for a secret where nothing is keyed by it. */
export const MASK = '***';

const noValues: ReadonlyMap<string, string> = new Map();

/** What stands for a secret value in a key, URL or tag; the name is hashed too, so that equal secrets do not show as such. */
export function secretDigest(sha256: Sha256Fn, name: string, value: string): string {
  return `sha256-${sha256(`${name}=${value}`).slice(0, 32)}`;
}

/** A 400 about one parameter; `words` follow its name. */
export function parameterProblem(code: string, parameter: string, words: string): Problem {
  return {
    status: 400,
    code,
    title: 'Request parameter not accepted',
    detail: `Parameter "${parameter}" ${words}.`,
    extra: { parameter },
  };
}

/**
 * The path upstream: `forward` with the groups put in, or the raw path with the groups that have a rule replaced where
 * they stand. Groups without a rule stay byte for byte.
 */
export function canonicalPath(match: RouteMatch, path: string, sha256: Sha256Fn): Result<CanonicalPath> {
  const { plan, groups } = match;
  if (plan.fixedPath !== undefined) {
    const target = plan.fixedForward ?? plan.fixedPath;
    return ok({ target, keyed: target, url: plan.fixedPath, values: noValues });
  }
  if (plan.pathParams.size === 0) return pathOfRawGroups(match, path);
  const values = ruledValues(plan, groups);
  if (!values.ok) return values;
  const encoded = encodeRuled(match, values.value, plan.isToldByMatch);
  const target = targetOf(match, encoded);
  const issue = pathIssue(target);
  if (issue !== undefined) return refused(targetProblem(`Forwarded: ${issue}`));
  const shown = masked(plan, values.value, sha256);
  const shownEncoded = shown === values.value ? encoded : encodeRuled(match, shown, plan.isToldByMatch);
  const keyed = shown === values.value ? target : targetOf(match, shownEncoded);
  const encodedHere = plan.isToldByMatch ? shownEncoded : encodeRuled(match, shown, true);
  return ok({ target, keyed, url: urlPath(match, encodedHere), values: shown });
}

function pathOfRawGroups(match: RouteMatch, path: string): Result<CanonicalPath> {
  const { groups } = match;
  const forwarded = rawForwardPath(match, path);
  if (!forwarded.ok) return forwarded;
  const target = forwarded.value;
  const url = match.plan.forward === undefined ? path : urlPath(match, groups);
  return ok({ target, keyed: target, url, values: groups });
}

/** The path upstream with all groups byte for byte. */
export function rawForwardPath(match: RouteMatch, path: string): Result<string> {
  const { plan, groups } = match;
  if (plan.forward === undefined) return ok(path);
  if (plan.fixedForward !== undefined) return ok(plan.fixedForward);
  const target = targetOf(match, groups);
  // Harmless groups can make a dot segment, or a // at the beginning, where the template joins them.
  const issue = pathIssue(target);
  return issue === undefined ? ok(target) : refused(targetProblem(`Forwarded: ${issue}`));
}

function targetOf({ plan, captures }: RouteMatch, values: ReadonlyMap<string, string>): string {
  if (plan.fixedForward !== undefined) return plan.fixedForward;
  if (plan.forward === undefined) return ownPath({ plan, captures }, values);
  return plan.forward.map((piece) => ('text' in piece ? piece.text : (values.get(piece.name) ?? ''))).join('');
}

/** Every part as it is in the request, with these values of its groups. */
function ownPath(
  { plan, captures }: Pick<RouteMatch, 'plan' | 'captures'>,
  values: ReadonlyMap<string, string>,
): string {
  return joined(plan.parts, (part, index) =>
    part.kind === 'group' ? around(part, values.get(part.name)) : (captures[index] ?? ''),
  );
}

/**
 * The path on the proxy. Whatever does not reach upstream is written in one way (left out where that may be, else `*`),
 * so that requests with one key have one URL, and a purge of any of their URLs finds them. Where too little is left to be a path
 * nothing is left out, lest no prefix cover it.
 */
function urlPath(match: RouteMatch, values: ReadonlyMap<string, string>): string {
  const path = writtenPath(match, values, false);
  return path.startsWith('/') ? path : writtenPath(match, values, true);
}

function writtenPath({ plan, captures }: RouteMatch, values: ReadonlyMap<string, string>, isWhole: boolean): string {
  return joined(plan.parts, (part, index) => {
    if (part.kind === 'text') {
      if (plan.forward === undefined) return captures[index] ?? '';
      return part.modifier === '+' ? part.text : '';
    }
    const optional = part.modifier === '?' || part.modifier === '*';
    if (plan.dropped.has(part.name)) return optional && !isWhole ? '' : around(part, '*');
    const value = values.get(part.name);
    return optional && plan.forward !== undefined && value === '' ? '' : around(part, value);
  });
}

/** The path as received, with `***` in the place of each group whose rule calls it secret. */
export function maskedPath({ plan, groups, captures }: RouteMatch, path: string): string {
  const isSecret = (name: string): boolean => plan.pathParams.get(name)?.rule.secret === true;
  if (![...plan.pathParams.keys()].some(isSecret)) return path;
  return joined(plan.parts, (part, index) => {
    if (part.kind === 'text') return captures[index] ?? '';
    const raw = groups.get(part.name);
    return around(part, raw !== undefined && isSecret(part.name) ? MASK : raw);
  });
}

/** The parts of a pattern as one path; the index counts those that are not literal. */
function joined(
  parts: readonly PatternPart[],
  textOf: (part: Exclude<PatternPart, { kind: 'literal' }>, index: number) => string,
): string {
  let text = '';
  let index = 0;
  for (const part of parts) {
    if (part.kind === 'literal') text += part.text;
    else {
      text += textOf(part, index);
      index += 1;
    }
  }
  return text;
}

function around(part: GroupPart, value: string | undefined): string {
  return value === undefined ? '' : part.prefix + value + part.suffix;
}

/** Canonical, decoded values of the groups that have a rule, raw ones of the others. */
function ruledValues(plan: RoutePlan, groups: ReadonlyMap<string, string>): Result<ReadonlyMap<string, string>> {
  const values = new Map(groups);
  for (const [name, param] of plan.pathParams) {
    const value = ruledValue(name, param, groups.get(name));
    if (!value.ok) return value;
    if (value.value !== undefined) values.set(name, value.value);
  }
  return ok(values);
}

/** The canonical value of one group that has a rule; a 400 where it is refused. */
export function ruledValue(name: string, param: CompiledParam, raw: string | undefined): Result<string | undefined> {
  if (raw === undefined) {
    if (param.default !== undefined || !param.rule.required) return ok(param.default);
    return refused(parameterProblem('parameter-missing', name, 'is required'));
  }
  const text = raw.includes('/') ? undefined : decodePathText(raw);
  if (text === undefined) return refused(parameterProblem('parameter-invalid', name, 'is not UTF-8 text'));
  const outcome = normaliseValues(param, [text]);
  if (outcome.kind !== 'value') {
    const words = outcome.kind === 'absent' ? 'is required' : outcome.words;
    return refused(parameterProblem('parameter-invalid', name, words));
  }
  // An empty segment is another path.
  if (outcome.value === '') return refused(parameterProblem('parameter-invalid', name, 'must not be empty'));
  return ok(outcome.value);
}

/** `isToldByMatch`: so that `match` finds the same groups in the path that is made of them. */
function encodeRuled(
  match: RouteMatch,
  values: ReadonlyMap<string, string>,
  isToldByMatch: boolean,
): ReadonlyMap<string, string> {
  const { plan, groups } = match;
  const encoded = new Map(groups);
  let isClear = true;
  for (const name of plan.pathParams.keys()) {
    const value = values.get(name);
    if (value === undefined) continue;
    const text = encodePathText(value);
    encoded.set(name, text);
    if (mayEndWithin(text, plan.ends.get(name))) isClear = false;
  }
  return isClear || !isToldByMatch ? encoded : keptApart(match, encoded);
}

/**
 * Values are decoded, so that they may hold what ends their group in `match`: `/Washington%2C%20DC,us` is not `/Washington,%20DC,us`, and must
 * be neither that upstream nor the same key. Where it would be another's path it stays encoded, and nowhere else.
 */
function keptApart(match: RouteMatch, encoded: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  const { plan } = match;
  const found = plan.whole.exec(ownPath(match, encoded));
  if (found !== null && isOf(match, encoded, found)) return encoded;
  const apart = new Map(encoded);
  for (const name of plan.pathParams.keys()) {
    const [text, end] = [encoded.get(name), plan.ends.get(name)];
    if (text !== undefined && mayEndWithin(text, end)) apart.set(name, withoutEnd(text, end));
  }
  if (found !== null) return apart;
  // An expression does not take the value as it is: no other path has it, so that it may stay.
  const again = plan.whole.exec(ownPath(match, apart));
  return again !== null && isOf(match, apart, again) ? apart : encoded;
}

function isOf({ plan, captures }: RouteMatch, values: ReadonlyMap<string, string>, found: RegExpExecArray): boolean {
  const open = plan.parts.filter((part) => part.kind !== 'literal');
  return open.every((part, index) => {
    const value = part.kind === 'group' ? values.get(part.name) : captures[index];
    return found[index + 1] === value;
  });
}

function masked(plan: RoutePlan, values: ReadonlyMap<string, string>, sha256: Sha256Fn): ReadonlyMap<string, string> {
  const secret = [...plan.pathParams].filter(([name, param]) => param.rule.secret && values.has(name));
  if (secret.length === 0) return values;
  const shown = new Map(values);
  for (const [name] of secret) shown.set(name, secretDigest(sha256, name, values.get(name) ?? ''));
  return shown;
}
