import { jsonpath } from 'json-p3';

import type { BodyCheck } from '../cache/ports.ts';
import type { StoreIf } from '../core/route.ts';

type Query = ReturnType<typeof jsonpath.compile>;
type Json = Parameters<typeof jsonpath.query>[1];

/** Checks bodies against `storeIf` rules; each query is compiled once. A query that does not compile fails every body. */
export function createBodyCheck(): BodyCheck {
  // As many as the configuration has queries: bounded by the file.
  const compiled = new Map<string, Query | undefined>();
  const compile = (text: string): Query | undefined => {
    if (!compiled.has(text)) compiled.set(text, compileQuery(text));
    return compiled.get(text);
  };
  return {
    fails: (rule, body) => {
      if (!rule.json && rule.exists.length === 0 && rule.absent.length === 0) return undefined;
      const value = parse(body);
      if (value === undefined) return 'not-json';
      return failedPath(rule, value.json, compile);
    },
  };
}

/** What is wrong with a query (RFC 9535), for the check of the configuration; `undefined` when it compiles. */
export function compileQueryIssue(query: string): string | undefined {
  try {
    jsonpath.compile(query);
    return undefined;
  } catch (error) {
    return `not a JSONPath query (RFC 9535): ${error instanceof Error ? error.message : 'it does not compile'}`;
  }
}

function compileQuery(text: string): Query | undefined {
  return compileQueryIssue(text) === undefined ? jsonpath.compile(text) : undefined;
}

function failedPath(
  rule: StoreIf,
  json: Json,
  compile: (text: string) => Query | undefined,
): 'path-missing' | 'path-present' | undefined {
  if (rule.exists.some((text) => selects(compile(text), json) !== true)) return 'path-missing';
  if (rule.absent.some((text) => selects(compile(text), json) !== false)) return 'path-present';
  return undefined;
}

/** `undefined` where there is no answer: such a body is not stored, whichever way the rule asks. */
function selects(query: Query | undefined, json: Json): boolean | undefined {
  if (query === undefined) return undefined;
  try {
    return query.match(json) !== undefined;
  } catch {
    // Nested deeper than the library goes down.
    return undefined;
  }
}

function parse(body: Buffer): { readonly json: Json } | undefined {
  try {
    // Strict: JSON that is exchanged is UTF-8 (RFC 8259 §8.1); a replaced byte would be a change nobody sees.
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: false }).decode(body);
    const json: Json = JSON.parse(text);
    return { json };
  } catch {
    return undefined;
  }
}
