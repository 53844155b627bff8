import type * as v from 'valibot';
import { listOf, map, oneOrMany, option, recordOf, required } from './schema-base.ts';
import { duration, flag, numeric, text } from './schema-scalars.ts';
import { nameProblem, zoneProblem } from './words.ts';

const hour = 3_600_000;

function zone() {
  return option(
    text({ what: 'an IANA time zone', check: zoneProblem }),
    'IANA time zone, such as `Europe/Berlin`.',
    'UTC',
  );
}

const job = map({
  name: option(
    text({ what: 'a name', check: nameProblem }),
    'Name in reports and metrics, where `api` is warming by call. Default: the route, numbered where another job has that name.',
  ),
  route: required(text({ what: 'the name of a route' }), 'Route whose answers are fetched ahead.'),
  with: option(
    recordOf(text({ what: 'text', empty: true }), { max: 100 }),
    'Parameters by name. `{location}` stands for each of `warm.locations`; `{today}`, `{today+7d}`, `{today-1d}` for days in `zone`.',
    {},
  ),
  every: required(duration({ min: 1000, max: 168 * hour }), 'Time between two runs.'),
  jitter: option(
    duration({ min: 0, max: 168 * hour }),
    'Each run is moved by a random part of this, so that many proxies do not ask at once. Default: a tenth of `every`.',
  ),
  zone: zone(),
});

/** What is fetched before it is asked for. */
export const warmSchema = map({
  locations: option(listOf(text({ what: 'a location' }), 10_000), 'Values of `{location}`.'),
  jobs: option(listOf(job, 1000), 'What is fetched, and how often.'),
  concurrency: option(numeric({ min: 1, max: 1000, whole: true }), 'Fetches under way at once.', '4'),
  reuseAbove: option(
    numeric({ min: 0, max: 1, whole: false }),
    'A stored answer with at least this part of its freshness left is not fetched again.',
    '0.5',
  ),
});

const scheduledPurge = map({
  cron: required(text({ what: 'a cron expression' }), 'When: minute, hour, day, month, weekday, as in crontab.'),
  zone: zone(),
  route: option(text({ what: 'the name of a route' }), 'Purges what this route stored.'),
  tag: option(text({ what: 'a tag' }), 'Purges what has this tag.'),
  tags: option(oneOrMany(text({ what: 'a tag' }), 1000), 'Purges what has any of these tags.'),
  prefix: option(text({ what: 'a path' }), 'Purges what has a canonical URL on the proxy that starts with this.'),
  url: option(text({ what: 'a path and query' }), 'Purges this URL on the proxy, read like a request.'),
  key: option(text({ what: 'a key' }), 'Purges this key.'),
  all: option(flag(), '`true` purges everything.'),
  soft: option(
    flag(),
    'Makes answers stale instead of removing them, so that they can still serve while upstream is down.',
    'false',
  ),
});

/** Purges by the clock. */
export const purgeSchema = map({
  schedule: option(
    listOf(scheduledPurge, 1000),
    'Purges that run by themselves; each has exactly one of `route`, `tag`, `tags`, `prefix`, `url`, `key`, `all`.',
  ),
});

export type JobInput = v.InferOutput<typeof job>;
export type ScheduledPurgeInput = v.InferOutput<typeof scheduledPurge>;
