import process from 'node:process';
import type { MessagePort } from 'node:worker_threads';

import { graphqlReaderFor } from '../graphql-reader.ts';
import { createLog, type Log } from '../log/log.ts';
import { buildParts, type Parts, type ThreadHooks } from '../parts.ts';
import { memoryOfThread } from '../process-memory.ts';
import { sharedTierFor } from '../tiers.ts';
import type { BoundListener } from '../server/data-server.ts';
import { buildDataServer, buildExplainer, FIRST_LEASE_PATIENCE_MS, secretsOf, shutDown } from '../serving.ts';
import { allRules } from '../store/coherence/rules.ts';
import { systemClock } from '../system-clock.ts';
import { Heard } from './heard.ts';
import { LineBacklog } from './line-backlog.ts';
import { LineBatch } from './line-batch.ts';
import type { Call, CallName, WorkerCalls, WorkerGround, WorkerStart, WorkerWord } from './messages.ts';
import { joinPurges } from './shared-purges.ts';
import { adopt, byKey, numbersOf, refresh, summariesOf } from './worker-calls.ts';

/** Counts that a worker which is killed takes with it are at most so old. */
const TELL_EVERY_MS = 1_000;

/** Serves this worker's share until the coordinator says stop; rejects where a listener cannot be bound. */
export async function serveShare(
  start: WorkerGround,
  port: MessagePort,
  tell: (word: WorkerWord) => void,
): Promise<void> {
  const { config, place, bounds, processMark } = start;
  await using stack = new AsyncDisposableStack();
  const backlog = new LineBacklog(start.lineWords);
  const send = (text: string): void => {
    tell({ kind: 'lines', lines: text });
    backlog.sent(text.length);
  };
  const lines = stack.use(new LineBatch(send));
  const log = stack.use(createLog(config.log, { secrets: secretsOf(config), stream: lines, worker: place }));
  const graphql = await graphqlReaderFor(config.routes);
  const sharing = await sharedTierFor(config);
  const threads = hooksOf(start, stack, log);
  const processMemory = bounds && memoryOfThread(bounds);
  const onFirstCall = (): void => tell({ kind: 'fetching' });
  const clock = systemClock;
  const ground = { config, log, stack, clock, graphql, sharing, processMark, processMemory, onFirstCall };
  const parts = buildParts({ ...ground, rules: allRules, threads });
  await parts.tiers.shared?.log.start(FIRST_LEASE_PATIENCE_MS);
  parts.fleetCounters?.start();
  const server = buildDataServer(config, parts);
  const listeners = await server.listen();
  const stopTelling = keepTelling(parts, tell, new Heard(start.heardWords));
  const owned = stack.move();
  const calls = callsOf({ config, parts, listeners }, async () => {
    stopTelling();
    await shutDown(config, { ...parts, server });
    const numbers = numbersOf(parts, undefined);
    await owned.disposeAsync();
    return numbers;
  });
  port.on('message', (call: Call) => void answer(calls, call, tell));
  tell({ kind: 'listening', listeners });
}

function hooksOf({ wire, place }: WorkerStart, stack: AsyncDisposableStack, log: Log): ThreadHooks {
  if (wire === undefined) return {};
  const onLost = (): void =>
    log.error({}, 'a purge of another worker was announced and did not come: everything here was purged');
  return { joinPurges: (own) => stack.use(joinPurges({ wire, place, log: own, onLost })) };
}

/** Tells what was counted every now and then, and when a bug ends this thread; until the returned function is called. */
function keepTelling(parts: Parts, tell: (word: WorkerWord) => void, heard: Heard): () => void {
  const told = (): void => {
    heard.told();
    tell({ kind: 'counted', numbers: numbersOf(parts, undefined) });
  };
  const timer = setInterval(() => {
    if (heard.isAll) told();
  }, TELL_EVERY_MS);
  process.on('uncaughtExceptionMonitor', told);
  return () => {
    clearInterval(timer);
    process.off('uncaughtExceptionMonitor', told);
  };
}

type Answers = {
  readonly [Name in CallName]: (
    input: WorkerCalls[Name]['input'],
  ) => WorkerCalls[Name]['output'] | Promise<WorkerCalls[Name]['output']>;
};

function callsOf(
  serving: {
    readonly config: WorkerStart['config'];
    readonly parts: Parts;
    readonly listeners: readonly BoundListener[];
  },
  stop: Answers['stop'],
): Answers {
  const { config, parts, listeners } = serving;
  const { memory, purgeLog } = parts.tiers;
  const explainer = buildExplainer(config, parts, () => listeners);
  return {
    turn: () => undefined,
    count: (scopes) => memory.count(scopes),
    list: (filter) => summariesOf(memory.list(filter)),
    summaries: (keys) => summariesOf(byKey(memory, keys)),
    explain: (request) => explainer.explain(request),
    position: () => purgeLog.position(),
    refresh: (call) => refresh(parts, call),
    adopt: (adopted) => adopt(parts, adopted),
    numbers: ({ thread }) => numbersOf(parts, thread ? parts.metrics.thread() : undefined),
    rehearse: async () => {
      await (await import('../rehearsal.ts')).rehearseTold(systemClock);
      return undefined;
    },
    stop,
  };
}

async function answer<Name extends CallName>(
  answers: Answers,
  { id, name, input }: Call<Name>,
  tell: (word: WorkerWord) => void,
): Promise<void> {
  try {
    tell({ kind: 'answer', id, value: await answers[name](input) });
  } catch (error) {
    tell({ kind: 'refusal', id, message: error instanceof Error ? error.message : String(error) });
  }
}
