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

/** Times that a response of the forecast's route was stored since the start: how many are there says nothing once a limit is reached. */
export async function storedBy(admin: string): Promise<number> {
  const { body } = await get(`${admin}/metrics`);
  return metricIn(body.toString(), 'forecache_storage_total{route="weather-forecast",result="stored"}');
}
