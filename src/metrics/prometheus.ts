import type { Family } from './family.ts';

/**
 * Writes families in the Prometheus text format, version 0.0.4. prom-client gets them the way it takes the numbers of other processes:
 * its own counters build a string and an object for each increment, which would cost a hit more than its lookup.
 */
export async function expositionOf(families: readonly Family[]): Promise<string> {
  // Read with the first scrape: it brings node:cluster and OpenTelemetry's API, 15 MiB.
  const { AggregatorRegistry } = await import('prom-client');
  return AggregatorRegistry.aggregate([families]).metrics();
}
