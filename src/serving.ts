import { METHODS } from 'node:http';

import type { Explainer } from './cache/explain.ts';
import { redisSecrets } from './config/compile-redis.ts';
import type { Config } from './core/config.ts';
import { onDemand } from './core/on-demand.ts';
import { secretValues } from './core/secret-values.ts';
import { describe } from './log/describe.ts';
import type { Log } from './log/log.ts';
import type { Parts } from './parts.ts';
import { listenerRefusals } from './server/read-request.ts';
import { type BoundListener, createDataServer, type DataServer } from './server/data-server.ts';
import { ExchangeHandler } from './server/request-handler.ts';

/** Redis is asked for so long before the listeners open; it is followed all the same after. */
export const FIRST_LEASE_PATIENCE_MS = 500;

/** Explains what these parts would do; what explains is read with the first question. */
export function buildExplainer(
  config: Config,
  { deps, tiers }: Pick<Parts, 'deps' | 'tiers'>,
  listeners: () => readonly BoundListener[],
): Explainer {
  const { store, shared } = tiers;
  const explainer = onDemand(async () => {
    const { createExplainer } = await import('./cache/explain.ts');
    const { createAnswerReader } = await import('./upstream/answer-reader.ts');
    return createExplainer({
      ...deps,
      upstreams: config.upstreams,
      answers: createAnswerReader(config.upstreams),
      listener: listenerRefusals(config.server.limits),
      listeners,
      methods: new Set(METHODS),
      store,
      ...(shared === undefined ? {} : { coherence: shared.log }),
    });
  });
  return { explain: async (request) => (await explainer.make()).explain(request) };
}

/** The listeners of agents, in front of the parts. */
export function buildDataServer(config: Config, parts: Parts): DataServer {
  const { exchange, deps, relay, log, load } = parts;
  const handler = new ExchangeHandler({
    config: config.server,
    tierBytes: config.store.memory.maxBytes,
    handle: (request, client) => exchange.handle(request, client),
    relay,
    observer: deps.observer,
    clock: deps.clock,
    load,
    onBug: (error) => log.error({ error: describe(error) }, 'a request failed inside the proxy'),
  });
  return createDataServer({ config: config.server, handler, load });
}

/** Says at the start what `check` says, to those who never ran it. */
export function tellNotes(log: Log, { notes }: Pick<Config, 'notes'>): void {
  for (const { line, path, message } of notes) log.warn({ line, path, note: message }, 'hardly meant');
}

/** Without `closeNow`: whoever it stands for ends by themselves when the grace is over. */
type Drained = Pick<DataServer, 'beginDrain' | 'close'> & Partial<Pick<DataServer, 'closeNow'>>;

/** The reverse of the start, with the deadlines of the config; the admin listener outlives it for the last scrape. */
export async function shutDown(
  config: Config,
  parts: Omit<Parts, 'exchange' | 'relay'> & { readonly server: Drained },
): Promise<void> {
  const { server, background, warmer, schedule, deps, log, tiers, fleetCounters } = parts;
  log.info({ drainDelayMs: config.server.drainDelayMs, graceMs: config.server.graceMs }, 'draining');
  warmer.stop();
  schedule.stop();
  await pause(config.server.drainDelayMs);
  server.beginDrain();
  const ended = server.close();
  log.info({}, 'closing');
  const cancelGrace = deps.clock.after(config.server.graceMs, () => {
    if (server.closeNow === undefined) return;
    // The calls that it ends say no more than that their clients are gone.
    log.warn({}, 'grace is over, ending what is under way');
    server.closeNow();
  });
  // The clock's timers do not keep the process alive; an open connection does.
  await ended;
  const deadline = Promise.withResolvers<void>();
  // Cleared below: what is left running would keep the process alive for as long.
  const timer = setTimeout(deadline.resolve, BACKGROUND_DEADLINE_MS);
  await Promise.race([background.idle(), deadline.promise]);
  clearTimeout(timer);
  await background.stop();
  cancelGrace();
  // Nothing is served any more: what is on its way to Redis gets there, and no purge waits for this process.
  await tiers.shared?.store.settle();
  await fleetCounters?.stop();
  await tiers.shared?.log.leave();
}

/** Background work (refreshes, fills whose client went) is given this long after the last connection has ended. */
const BACKGROUND_DEADLINE_MS = 2_000;

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, ms));
}

/** What must never be written, wherever it turns up. Of credentials the same as is looked for in answers. */
export function secretsOf(config: Config): readonly string[] {
  const credentials = [...config.upstreams.values()].flatMap((upstream) => secretValues(upstream.credentials));
  const own = config.admin.token === undefined ? [] : [config.admin.token];
  return [...own, ...credentials, ...redisSecrets(config.store.redis)];
}
