import { fieldValue } from './fields.ts';
import { MASK, type CanonicalPath } from './key-path.ts';
import { meaningOf, type CanonicalQuery } from './key-query.ts';
import type { CompiledParam } from './normalise.ts';
import { decodeQueryText, foldWithheld, parseQuery, recodeQueryText } from './query.ts';
import type { KeyStep, ProxyRequest } from './request.ts';
import type { ParamSlot } from './route-plan.ts';
import type { RouteMatch } from './route-table.ts';

/** What {@link keySteps} tells of, already worked out. */
interface Derived {
  readonly path: CanonicalPath;
  readonly query: CanonicalQuery;
}

/** Each part of the request before and after, in words, with secret values masked. For `explain`; costs what it costs. */
export function keySteps(
  match: RouteMatch,
  request: Pick<ProxyRequest, 'path' | 'query' | 'fields'>,
  derived: Derived,
): readonly KeyStep[] {
  return [
    ...pathSteps(match, request.path, derived.path),
    ...(match.route.rawQuery
      ? rawQuerySteps(request.query, derived.query)
      : querySteps(match, request.query, derived.query)),
    ...match.plan.headers.map(({ name, secret }): KeyStep => {
      const value = fieldValue(request.fields, name);
      const shown = hide(value, secret);
      const rule = secret ? 'keyed field, as a digest' : 'keyed field';
      return {
        part: 'header',
        name,
        before: shown,
        after: shown,
        rule: value === undefined ? 'keyed field, absent' : rule,
      };
    }),
  ];
}

function pathSteps(match: RouteMatch, path: string, canonical: CanonicalPath): readonly KeyStep[] {
  const { plan, groups } = match;
  const secret = [...plan.pathParams.values()].some((param) => param.rule.secret);
  const steps: KeyStep[] = [
    {
      part: 'path',
      name: 'path',
      before: secret ? canonical.url : path,
      after: canonical.keyed,
      rule: plan.forward === undefined ? `match ${plan.route.match}` : `forward ${plan.route.forward ?? ''}`,
    },
  ];
  const names = new Set([...groups.keys(), ...plan.pathParams.keys()]);
  for (const name of names) {
    const param = plan.pathParams.get(name);
    const raw = groups.get(name);
    const hidden = param?.rule.secret === true;
    const rule = plan.dropped.has(name) ? 'not in forward, dropped' : groupRule(param, raw);
    const after = plan.dropped.has(name) ? undefined : canonical.values.get(name);
    steps.push({ part: 'path', name, before: hide(raw, hidden), after: hide(after, hidden), rule });
  }
  return steps;
}

function groupRule(param: CompiledParam | undefined, raw: string | undefined): string {
  if (param === undefined) return 'group, byte for byte';
  return raw === undefined ? 'default' : param.rule.kind.type;
}

function hide(value: string | undefined, hidden: boolean): string | undefined {
  return hidden && value !== undefined ? MASK : value;
}

function rawQuerySteps(raw: string | undefined, query: CanonicalQuery): readonly KeyStep[] {
  if (raw === undefined) return [];
  const rule = raw === query.target ? 'byte for byte' : 'byte for byte, without secret and ignored parameters';
  return [{ part: 'query', name: 'query', before: raw === query.target ? raw : MASK, after: query.target, rule }];
}

function querySteps(match: RouteMatch, raw: string | undefined, query: CanonicalQuery): readonly KeyStep[] {
  const { plan } = match;
  const steps: KeyStep[] = [];
  const given = new Map<number, { name: string; value: string }[]>();
  for (const { rawName, rawValue } of parseQuery(raw)) {
    const decodedName = decodeQueryText(rawName);
    const meaning = meaningOf(plan, decodedName);
    const name = decodedName ?? recodeQueryText(rawName);
    const value = decodeQueryText(rawValue ?? '') ?? recodeQueryText(rawValue ?? '');
    if (typeof meaning === 'number') {
      given.set(meaning, [...(given.get(meaning) ?? []), { name, value }]);
      continue;
    }
    const secret = plan.secretNames.has(foldWithheld(name));
    const kept = meaning === 'keep';
    steps.push({
      part: 'query',
      name,
      before: hide(value, secret),
      after: kept ? value : undefined,
      rule: kept ? 'unknown, kept' : droppedRule(secret, plan.names.has(name)),
    });
  }
  const typed = plan.slots.flatMap((slot, index) => slotStep(slot, given.get(index) ?? [], query.values[index]));
  return [...typed, ...steps];
}

function droppedRule(secret: boolean, configured: boolean): string {
  if (secret) return 'secret, removed';
  return configured ? 'ignored' : 'unknown, dropped';
}

function slotStep(
  slot: ParamSlot,
  given: readonly { readonly name: string; readonly value: string }[],
  value: string | undefined,
): readonly KeyStep[] {
  const { rule } = slot;
  if (given.length === 0 && value === undefined) return [];
  const before = given.length === 0 ? undefined : given.map((one) => one.value).join(' & ');
  const aliases = given.map((one) => one.name).filter((name) => name !== rule.name);
  const words = [
    given.length === 0 ? 'default' : rule.kind.type,
    ...(aliases.length > 0 ? [`as ${[...new Set(aliases)].join(', ')}`] : []),
    ...(given.length > 1 ? [`given ${given.length} times`] : []),
    ...(rule.secret ? ['secret, keyed as a digest'] : []),
  ];
  return [
    {
      part: 'query',
      name: rule.name,
      before: hide(before, rule.secret),
      after: hide(value, rule.secret),
      rule: words.join(', '),
    },
  ];
}
