import type { WarmRequest } from '../cache/operations.ts';
import { ok, refused, type Result } from '../core/problem.ts';
import { isText, maxItems, notText, notTextList, textList, unknownMember } from './members.ts';
import { invalidBody, isJsonObject, type JsonObject } from './read-body.ts';

/** The body of `POST /api/warm`: `route` and `with`, or `locations`. */
export function readWarm(body: JsonObject): Result<WarmRequest> {
  const unknown = unknownMember(body, ['route', 'with', 'locations']);
  if (unknown !== undefined) return refused(unknown);
  const byLocation = body['locations'] !== undefined;
  if (byLocation === (body['route'] !== undefined) || (byLocation && body['with'] !== undefined)) {
    return refused(invalidBody('The content must have either locations, or route and with.'));
  }
  if (!byLocation) return readWarmRoute(body);
  const locations = textList(body['locations']);
  return locations === undefined ? refused(notTextList('locations')) : ok({ kind: 'locations', locations });
}

function readWarmRoute(body: JsonObject): Result<WarmRequest> {
  const { route, with: given } = body;
  if (!isText(route)) return refused(notText('route'));
  const malformed = invalidBody(
    `with must be a list of 1 to ${maxItems} objects of parameters, each a text, a number or a boolean.`,
    'with',
  );
  if (!Array.isArray(given) || given.length === 0 || given.length > maxItems) return refused(malformed);
  const sets: Readonly<Record<string, string>>[] = [];
  for (const item of given) {
    const set = parameters(item);
    if (set === undefined) return refused(malformed);
    sets.push(set);
  }
  return ok({ kind: 'route', route, with: sets });
}

function parameters(value: unknown): Readonly<Record<string, string>> | undefined {
  if (!isJsonObject(value) || Object.keys(value).length > 100) return undefined;
  const pairs: [string, string][] = [];
  for (const [name, given] of Object.entries(value)) {
    const plain = typeof given === 'string' || typeof given === 'number' || typeof given === 'boolean';
    if (!plain || !isText(name) || (given !== '' && !isText(String(given)))) return undefined;
    pairs.push([name, String(given)]);
  }
  return Object.fromEntries(pairs);
}
