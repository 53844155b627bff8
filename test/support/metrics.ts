import { ask } from './http.ts';

/** A sample as Prometheus reads it: the name with its labels as written, and the value. */
export async function samples(admin: string): Promise<ReadonlyMap<string, number>> {
  const { text } = await ask(admin, '/metrics');
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => {
      const space = line.lastIndexOf(' ');
      return [line.slice(0, space), Number(line.slice(space + 1))];
    }),
  );
}

/** How often each limit was hit, by option. */
export async function limitHits(admin: string): Promise<Readonly<Record<string, number>>> {
  return byLabel(await samples(admin), 'forecache_limit_hits_total', 'option');
}

/** Requests by outcome. */
export async function outcomes(admin: string): Promise<Readonly<Record<string, number>>> {
  return byLabel(await samples(admin), 'forecache_requests_total', 'outcome');
}

/** Upstream calls by result: a status class or a kind of failure. */
export async function upstreamCalls(admin: string): Promise<Readonly<Record<string, number>>> {
  return byLabel(await samples(admin), 'forecache_upstream_calls_total', 'result');
}

/** Answers that broke off behind their heads, by kind of failure. */
export async function brokenBodies(admin: string): Promise<Readonly<Record<string, number>>> {
  return byLabel(await samples(admin), 'forecache_upstream_broken_bodies_total', 'failure');
}

/** The samples of a family added up by one label; what is 0 is left out. */
function byLabel(all: ReadonlyMap<string, number>, family: string, label: string): Readonly<Record<string, number>> {
  const sums: Record<string, number> = {};
  for (const [name, value] of all) {
    if (!name.startsWith(`${family}{`) || value === 0) continue;
    const found = new RegExp(`[{,]${label}="([^"]*)"`).exec(name)?.[1] ?? '';
    sums[found] = (sums[found] ?? 0) + value;
  }
  return sums;
}
