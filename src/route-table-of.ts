import type { Config } from './core/config.ts';
import { buildRouteTable, type RouteTable } from './core/route-table.ts';

/** A config whose routes were found sound at load gives a table; anything else is a bug. */
export function routeTableOf(config: Config): RouteTable {
  const table = buildRouteTable(config.routes);
  if (!table.ok) throw new Error(`routes: ${table.error.map((issue) => issue.message).join('; ')}`);
  return table.value;
}
