import { get } from '../../src/demo/http-get.ts';

/** The value of a metric, named with its labels where it has some (`name{label="value"}`); throws where it is not there. */
export function metricIn(text: string, name: string): number {
  const value = text
    .split('\n')
    .find((line) => line.startsWith(`${name} `))
    ?.slice(name.length + 1);
  if (value === undefined) throw new Error(`the metrics do not have ${name}`);
  return Number(value);
}

/**
 * The longest event-loop lag since the last scrape, in milliseconds. The program's watch ticks every 20 ms and tells what
 * a tick was late, so a pause shows with up to 20 ms less than it took, and never with more.
 */
export async function lagMs(admin: string): Promise<number> {
  const { body } = await get(`${admin}/metrics`);
  return metricIn(body.toString(), 'nodejs_eventloop_lag_max_seconds') * 1000;
}

/** Responses that the memory tier has stored, those included that are past their retention and not removed yet. */
export async function storedIn(admin: string): Promise<number> {
  const { body } = await get(`${admin}/metrics`);
  return metricIn(body.toString(), 'forecache_store_responses{tier="memory"}');
}
