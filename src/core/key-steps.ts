import { withoutAnyAccept } from './any-accept.ts';
import type { KeyedContent } from './content-key.ts';
import { fieldValue } from './fields.ts';
import { canonicalPath, MASK, maskedPath, ruledValue, type CanonicalPath, type Sha256Fn } from './key-path.ts';
import { meaningOf, rawQueryWithout, slotValue } from './key-query.ts';
import type { CompiledParam } from './normalise.ts';
import { ok, type Result } from './problem.ts';
import { decodeQueryText, foldWithheld, hasBrokenEscape, parseQuery, recodeQueryText } from './query.ts';
import type { KeyStep, ProxyRequest } from './request.ts';
import type { ParamSlot, RoutePlan } from './route-plan.ts';
import type { RouteMatch } from './route-table.ts';

/**
 * Each part of the request before and after, in words, with secret values masked. For `explain`, so it costs what it
 * costs: it works from the request alone, also of one that has no key. What is refused has nothing after it and says why.
 */
export function keySteps(
  match: RouteMatch,
  request: Pick<ProxyRequest, 'path' | 'query' | 'fields'> & { readonly content?: KeyedContent | undefined },
  sha256: Sha256Fn,
): readonly KeyStep[] {
  const path = canonicalPath(match, request.path, sha256);
  const counted = withoutAnyAccept(request.fields);
  return [
    ...pathSteps(match, request.path, valueOf(path)),
    ...(match.route.rawQuery ? rawQuerySteps(match.plan, request.query) : querySteps(match.plan, request.query)),
    ...match.plan.headers.map(({ name, secret }): KeyStep => {
      const value = fieldValue(request.fields, name);
      const keyed = fieldValue(counted, name);
      const rule = secret ? 'keyed field, as a digest' : 'keyed field';
      const unkeyed = value === undefined ? 'keyed field, absent' : 'keyed field, as if absent (RFC 9110 §12.5.1)';
      return {
        part: 'header',
        name,
        before: hide(value, secret),
        after: hide(keyed, secret),
        rule: keyed === undefined ? unkeyed : rule,
      };
    }),
    ...(request.content === undefined ? [] : [contentStep(request.content, sha256)]),
  ];
}

/** Content may be personal: its digest is what stands in the key too. */
function contentStep({ method, step, identity }: KeyedContent, sha256: Sha256Fn): KeyStep {
  return { part: 'content', name: method, ...step, after: `${step.after}, #${sha256(identity)}` };
}

function valueOf<T>(result: Result<T>): T | undefined {
  return result.ok ? result.value : undefined;
}

function pathSteps(match: RouteMatch, path: string, canonical: CanonicalPath | undefined): readonly KeyStep[] {
  const { plan, groups } = match;
  const names = new Set([...groups.keys(), ...plan.pathParams.keys()]);
  return [
    {
      part: 'path',
      name: 'path',
      before: maskedPath(match, path),
      after: canonical?.keyed,
      rule: plan.forward === undefined ? `match ${plan.route.match}` : `forward ${plan.route.forward ?? ''}`,
    },
    ...[...names].map((name) => groupStep(match, name)),
  ];
}

function groupStep({ plan, groups }: RouteMatch, name: string): KeyStep {
  const param = plan.pathParams.get(name);
  const raw = groups.get(name);
  const hidden = param?.rule.secret === true;
  const value = param === undefined ? ok(raw) : ruledValue(name, param, raw);
  const dropped = plan.dropped.has(name);
  const words = dropped ? 'not in forward, dropped' : groupRule(param, raw);
  return {
    part: 'path',
    name,
    before: hide(raw, hidden),
    after: dropped ? undefined : hide(valueOf(value), hidden),
    rule: [words, ...refusal(name, value)].join(', '),
  };
}

function groupRule(param: CompiledParam | undefined, raw: string | undefined): string {
  if (param === undefined) return 'group, byte for byte';
  return raw === undefined ? 'default' : param.rule.kind.type;
}

/** The words of a 400 about one parameter, without its name, which stands beside them. */
function refusal(name: string, result: Result<unknown>): readonly string[] {
  if (result.ok) return [];
  return [`refused: ${result.error.detail.slice(`Parameter "${name}" `.length, -1)}`];
}

function hide(value: string | undefined, hidden: boolean): string | undefined {
  return hidden && value !== undefined ? MASK : value;
}

function rawQuerySteps(plan: RoutePlan, raw: string | undefined): readonly KeyStep[] {
  if (raw === undefined) return [];
  const after = rawQueryWithout(plan, raw);
  const rule = raw === after ? 'byte for byte' : 'byte for byte, without secret and ignored parameters';
  return [{ part: 'query', name: 'query', before: raw === after ? raw : MASK, after, rule }];
}

/** What the request has of one parameter. */
interface Given {
  readonly name: string;
  readonly value: string;
  /** `undefined`: not UTF-8. */
  readonly decoded: string | undefined;
}

function querySteps(plan: RoutePlan, raw: string | undefined): readonly KeyStep[] {
  const steps: KeyStep[] = [];
  const given = new Map<number, Given[]>();
  for (const { rawName, rawValue = '' } of parseQuery(raw)) {
    const decodedName = decodeQueryText(rawName);
    const meaning = meaningOf(plan, decodedName);
    const name = decodedName ?? shownBytes(rawName);
    const decoded = decodeQueryText(rawValue);
    const value = decoded ?? shownBytes(rawValue);
    if (typeof meaning === 'number') {
      const before = given.get(meaning);
      if (before === undefined) given.set(meaning, [{ name, value, decoded }]);
      else before.push({ name, value, decoded });
      continue;
    }
    const secret = plan.secretNames.has(foldWithheld(name));
    const kept = meaning === 'keep';
    steps.push({
      part: 'query',
      name,
      before: hide(value, secret),
      after: kept ? value : undefined,
      rule: kept ? 'unknown, kept' : droppedRule(meaning, secret, plan.names.has(name)),
    });
  }
  const typed = plan.slots.flatMap((slot, index) => slotStep(slot, given.get(index) ?? []));
  return [...typed, ...steps];
}

/** Bytes that are no text, spelt so that they can be shown; a broken escape is shown as it came. */
function shownBytes(raw: string): string {
  return hasBrokenEscape(raw) ? raw : recodeQueryText(raw);
}

function droppedRule(meaning: 'drop' | 'reject', secret: boolean, configured: boolean): string {
  if (secret) return 'secret, removed';
  if (meaning === 'reject') return 'unknown, refused';
  return configured ? 'ignored' : 'unknown, dropped';
}

function slotStep(slot: ParamSlot, given: readonly Given[]): readonly KeyStep[] {
  const { rule } = slot;
  const values = given.map((one) => one.decoded);
  const value = slotValue(slot, given.length === 0 ? undefined : values);
  const after = valueOf(value);
  if (given.length === 0 && after === undefined && value.ok) return [];
  const before = given.length === 0 ? undefined : given.map((one) => one.value).join(' & ');
  const aliases = given.map((one) => one.name).filter((name) => name !== rule.name);
  const words = [
    given.length === 0 && value.ok ? 'default' : rule.kind.type,
    ...(aliases.length > 0 ? [`as ${[...new Set(aliases)].join(', ')}`] : []),
    ...(given.length > 1 ? [`given ${given.length} times`] : []),
    ...(rule.secret ? ['secret, keyed as a digest'] : []),
    ...refusal(rule.name, value),
  ];
  return [
    {
      part: 'query',
      name: rule.name,
      before: hide(before, rule.secret),
      after: hide(after, rule.secret),
      rule: words.join(', '),
    },
  ];
}
