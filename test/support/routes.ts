import { createHash } from 'node:crypto';
import type { FieldLines } from '../../src/core/fields.ts';
import { deriveKey } from '../../src/core/key.ts';
import type { ParamKind, ParamRule } from '../../src/core/params.ts';
import type { Result } from '../../src/core/problem.ts';
import type { KeyedRequest } from '../../src/core/request.ts';
import { buildRouteTable, matchRoute, type RouteTable } from '../../src/core/route-table.ts';
import type { Route } from '../../src/core/route.ts';
import { parseTarget } from '../../src/core/target.ts';

export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

/** A rule that asks for nothing beyond its kind. */
export function ruleOf(name: string, kind: ParamKind, overrides: Partial<ParamRule> = {}): ParamRule {
  return { name, kind, required: false, default: undefined, aliases: [], repeat: false, secret: false, ...overrides };
}

export function rulesOf(...rules: readonly ParamRule[]): ReadonlyMap<string, ParamRule> {
  return new Map(rules.map((rule) => [rule.name, rule]));
}

/** Free text with case folding, without, and a number of any size: the kinds that most tests need. */
export const folded: ParamKind = { type: 'text', fold: true };
export const exact: ParamKind = { type: 'text', fold: false };
export const integer: ParamKind = { type: 'integer', min: undefined, max: undefined };

export function decimal(places?: number, min?: number, max?: number): ParamKind & { readonly type: 'decimal' } {
  return { type: 'decimal', places, min, max };
}

/** The table of routes that are sound. */
export function tableOf(...routes: readonly Route[]): RouteTable {
  const table = buildRouteTable(routes);
  if (!table.ok) throw new Error(JSON.stringify(table.error));
  return table.value;
}

/** What a raw target comes to on its way through parsing, matching and keying. */
export function keyOf(table: RouteTable, raw: string, fields: FieldLines = []): Result<KeyedRequest> {
  const target = parseTarget(raw);
  if (!target.ok) return target;
  const request = { path: target.value.path, query: target.value.query, host: '', listener: 'default', fields };
  const match = matchRoute(table, request);
  if (match === undefined) throw new Error(`no route for ${raw}`);
  return deriveKey(match, request, sha256);
}

/** As {@link keyOf}, for targets that must be accepted. */
export function keyed(table: RouteTable, raw: string, fields: FieldLines = []): KeyedRequest {
  const result = keyOf(table, raw, fields);
  if (!result.ok) throw new Error(`${raw}: ${result.error.detail}`);
  return result.value;
}
