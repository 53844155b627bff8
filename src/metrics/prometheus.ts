import { AggregatorRegistry } from 'prom-client';
import type { Family } from './family.ts';

/**
 * Writes families in the Prometheus text format, version 0.0.4. prom-client gets them the way it takes the numbers of other processes:
 * its own counters build a string and an object for each increment, which would cost a hit more than its lookup.
 */
export function expositionOf(families: readonly Family[]): Promise<string> {
  return AggregatorRegistry.aggregate([families]).metrics();
}
