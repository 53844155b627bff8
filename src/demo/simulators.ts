import { parseArgs } from 'node:util';
import { hearStopAsks } from '../stop-signal.ts';
import type { SimulatorOptions } from './simulator-server.ts';
import { defaultEventsApiKey, startEventSimulator, startWeatherSimulator } from './start-simulators.ts';

const usage = `usage: node dist/demo/simulators.js [--host 127.0.0.1] [--weather-port 18081] [--events-port 18082]
         [--seed 0] [--min-latency 80] [--max-latency 400]

Runs the weather and the event API of the demo by themselves. The event API asks for the key
in EVENTS_API_KEY (${defaultEventsApiKey} when unset). POST /_control on either sets a fault:
  {"latencyMs":2000}  {"status":503}  {"down":true}  {}  {"reset":true}
`;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      host: { type: 'string', default: '127.0.0.1' },
      'weather-port': { type: 'string', default: '18081' },
      'events-port': { type: 'string', default: '18082' },
      seed: { type: 'string', default: '0' },
      'min-latency': { type: 'string', default: '80' },
      'max-latency': { type: 'string', default: '400' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(usage);
    return;
  }
  const options: SimulatorOptions = {
    host: values.host,
    seed: Number(values.seed),
    latency: { minMs: Number(values['min-latency']), maxMs: Number(values['max-latency']) },
  };
  const apiKey = process.env['EVENTS_API_KEY'] ?? defaultEventsApiKey;
  const weather = await startWeatherSimulator({ ...options, port: Number(values['weather-port']) });
  const events = await startEventSimulator({ ...options, port: Number(values['events-port']), apiKey });
  process.stdout.write(`simulators ready: weather ${weather.origin} events ${events.origin}\n`);
  const asks = hearStopAsks(true);
  void asks.first.then(() => Promise.all([weather.close(), events.close()]));
  void asks.second.then(() => process.exit(130));
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n${usage}`);
  process.exitCode = 64;
});
