import type { Compilation } from './compilation.ts';
import { unlessRefused } from './refused.ts';
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

const paths = ['match', 'host', 'listener'] as const;

/** A route of the file without what has issues, so that it can be told of the rest; `undefined` where that says of no path. Throws for {@link unlessRefused} where one of these was refused. */
export function outlineOf({ input, issues }: Compilation, index: number): RouteInput | undefined {
  const isClean = (option: string): boolean => issues.isClean(['routes', index, option]);
  const given = input.routes[index];
  if (!given || !paths.every(isClean)) return undefined;
  const sound = Object.entries(options).filter(([option, others]) => [option, ...others].every(isClean));
  // An option that is misspelt has its issue elsewhere: without these it is not known which paths there are.
  for (const option of paths) Reflect.get(given, option);
  const kept = sound.flatMap(([option]) => {
    const value: unknown = unlessRefused(() => Reflect.get(given, option));
    return value === undefined ? [] : [[option, value] as const];
  });
  // Another route may have its name.
  const name = isClean('name') ? given.name : `routes[${index}]`;
  return { ...plainRoute(), ...Object.fromEntries(kept), name };
}
