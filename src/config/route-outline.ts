import type { Compilation } from './compilation.ts';
import { plainRoute, type RouteInput } from './schema-routes.ts';

/** What says which paths a route matches, and what else is checked against them; each with what it is checked by. */
const options = {
  match: [],
  host: [],
  listener: [],
  query: [],
  pathParams: [],
  forward: ['pathParams'],
  tags: ['query', 'pathParams'],
  expireAt: ['query', 'pathParams'],
} as const;

/** A route of the file without what has issues, so that it can be told of the rest; `undefined` where that says of no path. */
export function outlineOf({ input, issues }: Compilation, index: number): RouteInput | undefined {
  const isClean = (option: string): boolean => issues.isClean(['routes', index, option]);
  const given = input.routes[index];
  if (!given || !['match', 'host', 'listener'].every(isClean)) return undefined;
  const sound = Object.entries(options).filter(([option, others]) => [option, ...others].every(isClean));
  const kept = Object.fromEntries(sound.map(([option]) => [option, Reflect.get(given, option)]));
  // Another route may have its name.
  const name = isClean('name') ? given.name : `routes[${index}]`;
  return { ...plainRoute(), ...kept, name };
}
