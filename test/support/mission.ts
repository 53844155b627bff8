import { onTestFinished } from 'vitest';

import type { Simulator } from '../../src/demo/simulator-server.ts';
import { startEventSimulator, startWeatherSimulator } from '../../src/demo/start-simulators.ts';
import { contractFile } from './config-text.ts';
import { ask, json, type Ask, type Reply } from './http.ts';
import { startProgram } from './program.ts';
import { startTestProxy } from './proxy.ts';
import { StillClock } from './still-clock.ts';

/** Both APIs behind the contract's configuration, answering at once. */
export interface Upstreams {
  readonly weather: Simulator;
  readonly events: Simulator;
  readonly env: Readonly<Record<string, string>>;
}

interface AdminReply {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

/** A proxy with the contract's configuration: what a test asks of it. */
export interface Mission extends Upstreams {
  /** Base URL for agents. */
  readonly proxy: string;
  readonly admin: string;
  readonly get: (target: string, options?: Ask) => Promise<Reply>;
  /** A JSON call to the admin listener: the status with the parsed answer. */
  readonly call: (path: string, body?: unknown) => Promise<AdminReply>;
  /** The report of the contract. */
  readonly report: () => Promise<Record<string, unknown>>;
}

export async function startUpstreams(): Promise<Upstreams> {
  const options = { latency: { minMs: 0, maxMs: 0 } };
  const weather = await startWeatherSimulator(options);
  const events = await startEventSimulator({ ...options, apiKey: 'mission-key' });
  onTestFinished(() => Promise.all([weather.close(), events.close()]).then(() => undefined));
  const env = { WEATHER_ORIGIN: weather.origin, EVENTS_ORIGIN: events.origin, EVENTS_API_KEY: 'mission-key' };
  return { weather, events, env };
}

/** The built program. It is gone at the end of the test. */
export async function startMission(upstreams?: Upstreams): Promise<Mission> {
  const behind = upstreams ?? (await startUpstreams());
  const program = await startProgram({ config: { text: contractFile }, env: behind.env });
  onTestFinished(() => program[Symbol.asyncDispose]());
  return { ...behind, ...missionOn(program) };
}

/**
 * The same in this process, in time that a test moves: from noon of a day long past, so that the simulators' Date, which
 * is the real one, is never taken for the age of an answer.
 */
export async function startStillMission(
  clock = new StillClock(Date.UTC(2020, 0, 6, 12)),
): Promise<Mission & { readonly clock: StillClock }> {
  const behind = await startUpstreams();
  const env = { ...behind.env, FORECACHE_LISTEN: '127.0.0.1:0', FORECACHE_ADMIN_LISTEN: '127.0.0.1:0' };
  const proxy = await startTestProxy({ yaml: `${contractFile}\nlog: { level: silent }\n`, env, clock });
  onTestFinished(() => proxy[Symbol.asyncDispose]());
  return { ...behind, ...missionOn({ proxy: proxy.origin, admin: proxy.admin }), clock };
}

function missionOn({ proxy, admin }: Pick<Mission, 'proxy' | 'admin'>): Omit<Mission, keyof Upstreams> {
  const call: Mission['call'] = async (path, body) => {
    const post = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
    const reply = await ask(admin, path, body === undefined ? {} : post);
    return { status: reply.status, body: Object(json(reply)) };
  };
  return {
    proxy,
    admin,
    get: (target, options) => ask(proxy, target, options),
    call,
    report: async () => (await call('/api/metrics/cache')).body,
  };
}

/** Calls so far whose path and query hold the text. */
export function callsWith(simulator: Simulator, text: string): number {
  return [...simulator.targets()]
    .filter(([target]) => target.includes(text))
    .reduce((sum, [, count]) => sum + count, 0);
}
