import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { play, writeScripts, type Observation } from './agents.ts';
import {
  crossChecks,
  custodyCheck,
  reportCounts,
  type Check,
  type ReportCounts,
  type UpstreamCounts,
} from './checks.ts';
import { figuresOf } from './figures.ts';
import { callJson, get } from './http-get.ts';
import { startProxy, type ProxyProcess } from './proxy-process.ts';
import { playPurge } from './purge-scene.ts';
import { checkLine, createScreen, figureLines, purgeLines, type Screen } from './screen.ts';
import { createRandom, hashOf } from './seeded.ts';
import type { Simulator } from './simulator-server.ts';
import { startEventSimulator, startWeatherSimulator } from './start-simulators.ts';
import { hearStopAsks } from '../stop-signal.ts';

const usage = `usage: npm run demo -- [--once] [--seed N] [--requests N]

Starts two upstream simulators and the proxy, plays agents against it, purges a location, and
leaves all of it running until Ctrl-C.

  --once        end after the play; exit 1 when a cross-check fails
  --seed N      another script, other answers (1)
  --requests N  how many requests the agents make (400; 50 to 20000)
`;

interface Options {
  readonly once: boolean;
  readonly seed: number;
  readonly requests: number;
}

/** Everything that runs while the demo does. */
interface Stage {
  readonly weather: Simulator;
  readonly events: Simulator;
  readonly proxy: ProxyProcess;
  readonly secret: string;
}

class UsageError extends Error {}

function readOptions(): Options | undefined {
  const values = readArguments();
  if (values.help) return undefined;
  const [seed, requests] = [Number(values.seed), Number(values.requests)];
  if (!Number.isInteger(seed) || seed < 0) throw new UsageError('--seed wants a whole number from 0');
  if (!Number.isInteger(requests) || requests < 50 || requests > 20_000) {
    throw new UsageError('--requests wants a whole number from 50 to 20000');
  }
  return { once: values.once, seed, requests };
}

function readArguments(): { once: boolean; seed: string; requests: string; help: boolean } {
  try {
    return parseArgs({
      options: {
        once: { type: 'boolean', default: false },
        seed: { type: 'string', default: '1' },
        requests: { type: 'string', default: '400' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

/** Opens what the demo needs onto the stack, which closes it in the reverse order. */
async function setStage(stack: AsyncDisposableStack, seed: number): Promise<Stage> {
  const secret = `demo-secret-${hashOf('events key', seed).toString(36)}`;
  const weather = await startWeatherSimulator({ seed });
  stack.defer(() => weather.close());
  const events = await startEventSimulator({ seed, apiKey: secret });
  stack.defer(() => events.close());
  const proxy = await startProxy({
    main: fileURLToPath(new URL('../main.js', import.meta.url)),
    args: ['serve', '--config', fileURLToPath(new URL('../../config/demo.yaml', import.meta.url))],
    env: {
      FORECACHE_LISTEN: '127.0.0.1:0',
      FORECACHE_ADMIN_LISTEN: '127.0.0.1:0',
      WEATHER_ORIGIN: weather.origin,
      EVENTS_ORIGIN: events.origin,
      EVENTS_API_KEY: secret,
    },
  });
  stack.defer(async () => void (await proxy.stopAtOnce()));
  return { weather, events, proxy, secret };
}

function upstreamCounts({ weather, events }: Stage): UpstreamCounts {
  return { weather: weather.calls(), events: events.calls(), authorised: events.authorised() };
}

/** A request is counted when its response has ended, which the agent may see a moment earlier. */
async function settledReport(admin: string, requests: number): Promise<ReportCounts> {
  const giveUpAtMs = performance.now() + 2000;
  for (;;) {
    const counts = reportCounts(await callJson(`${admin}/api/metrics/cache`));
    if (counts.hits + counts.misses + counts.errors >= requests || performance.now() > giveUpAtMs) return counts;
  }
}

async function findLeaks({ proxy, secret }: Stage, observations: readonly Observation[]): Promise<readonly string[]> {
  const explained = await get(`${proxy.admin}/api/explain`, {
    method: 'POST',
    fields: { 'content-type': 'application/json' },
    body: JSON.stringify({ url: '/events/search?location=berlin' }),
  });
  const texts = new Map([
    ['/api/stored', (await get(`${proxy.admin}/api/stored?limit=1000`)).body.toString()],
    ['/api/explain', explained.body.toString()],
    ['/metrics', (await get(`${proxy.admin}/metrics`)).body.toString()],
    ['the log', proxy.output()],
  ]);
  const leaks = [...texts].filter(([, text]) => text.includes(secret)).map(([name]) => name);
  return observations.some(({ leaked }) => leaked) ? ['an answer', ...leaks] : leaks;
}

/** Plays everything and prints what came of it; true where every cross-check holds. */
async function perform(stage: Stage, options: Options, screen: Screen, signal: AbortSignal): Promise<boolean> {
  const { proxy, secret } = stage;
  const scripts = writeScripts(options.seed, options.requests);
  screen.line(`${scripts.length} agents ask for weather and events, each in its own spelling, for example`);
  for (const { asks } of scripts.slice(0, 3)) screen.line(`  GET ${asks[0]?.target}`);
  const observations = await play(scripts, {
    proxy: proxy.proxy,
    secret,
    signal,
    onProgress: (done) => screen.progress(done, options.requests),
  });
  if (signal.aborted) return false;
  const figures = figuresOf(observations);
  const upstream = upstreamCounts(stage);
  const report = await settledReport(proxy.admin, figures.requests);
  screen.line();
  for (const line of figureLines(figures, upstream)) screen.line(line);
  screen.line('\nAn operator purges all that is about Berlin');
  const scene = await playPurge({
    proxy: proxy.proxy,
    admin: proxy.admin,
    secret,
    random: createRandom(options.seed),
    asked: observations.map(({ question }) => question),
  });
  for (const line of purgeLines(scene)) screen.line(line);
  const checks: readonly Check[] = [
    ...crossChecks(figures, report, upstream),
    ...scene.checks,
    custodyCheck(upstreamCounts(stage), await findLeaks(stage, [...observations, ...scene.after])),
  ];
  screen.line('\nCross-checks: the same figures from different places');
  for (const check of checks) screen.line(checkLine(check));
  return checks.every(({ holds }) => holds);
}

function invite({ proxy, admin }: ProxyProcess, screen: Screen): void {
  screen.line(`
It is all yours now: proxy ${proxy}, admin and dashboard ${admin}/. Try

  curl -i '${proxy}/weather/forecast?location=Cape+Town&days=7'
  curl -i '${proxy}/events/search?location=%20BERLIN%20'
  curl -s -X POST ${admin}/api/purge -H 'Content-Type: application/json' -d '{"tag":"location:berlin"}'

Ctrl-C ends it.`);
}

/** The exit code: 0, or 1 where a cross-check failed or the proxy ended by itself, or 130 after Ctrl-C in the middle, and after a second one. */
async function main(options: Options): Promise<number> {
  const interrupted = new AbortController();
  const asks = hearStopAsks(true);
  void asks.first.then(() => interrupted.abort());
  // Whoever asks once more does not want to wait. The proxy hears by its channel that this process is gone.
  void asks.second.then(() => process.exit(130));
  const screen = createScreen(process.stdout);
  await using stack = new AsyncDisposableStack();
  screen.line('Forecache demo: two upstream simulators and the proxy, in memory, on this machine alone.\n');
  const stage = await setStage(stack, options.seed);
  const held = await perform(stage, options, screen, interrupted.signal);
  if (interrupted.signal.aborted) return 130;
  if (options.once) return held ? 0 : 1;
  invite(stage.proxy, screen);
  const how = await Promise.race([
    stage.proxy.ended,
    new Promise<'interrupted'>((resolve) => {
      interrupted.signal.addEventListener('abort', () => resolve('interrupted'), { once: true });
    }),
  ]);
  if (how === 'interrupted') return held ? 0 : 1;
  process.stderr.write(`the proxy ended by itself:\n${stage.proxy.output()}`);
  return 1;
}

async function run(): Promise<void> {
  const options = readOptions();
  if (options === undefined) process.stdout.write(usage);
  else process.exitCode = await main(options);
}

run().catch((error: unknown) => {
  const isUsage = error instanceof UsageError;
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n${isUsage ? usage : ''}`);
  process.exitCode = isUsage ? 64 : 1;
});
