import { Agent } from 'node:http';
import { observe, type Observation } from './agents.ts';
import { reportCounts, type Check } from './checks.ts';
import { callJson } from './http-get.ts';
import { identityOf, isAbout, type Question } from './questions.ts';
import type { SeededRandom } from './seeded.ts';
import { spell } from './spelling.ts';

/** What the purge of a location came to. */
export interface PurgeScene {
  readonly matched: number;
  readonly tookMs: number;
  /** What was asked afterwards, and how it was answered. */
  readonly after: readonly Observation[];
  readonly checks: readonly Check[];
}

export interface PurgeSceneOptions {
  readonly proxy: string;
  readonly admin: string;
  readonly secret: string;
  readonly random: SeededRandom;
  /** Everything that was asked before. */
  readonly asked: readonly Question[];
}

const purged = 'berlin';
const kept = 'paris';

/** Purges all about Berlin with one call, then asks for Berlin's weather and events, and for Paris's weather. */
export async function playPurge(options: PurgeSceneOptions): Promise<PurgeScene> {
  const stored = new Set(options.asked.filter((question) => isAbout(question, purged)).map(identityOf));
  // Paris is asked for first, so that there is something that the purge must leave alone.
  await askFor(weatherOf(kept), options);
  const beganMs = performance.now();
  const answer = await callJson(`${options.admin}/api/purge`, { tag: `location:${purged}` });
  const tookMs = performance.now() - beganMs;
  const matched = Number(answer.get('matched'));
  // What the configured warming fetched, if it was due, may be about Berlin too.
  const { background } = reportCounts(await callJson(`${options.admin}/api/metrics/cache`));
  const after = [
    await askFor(weatherOf(purged), options),
    await askFor(eventsOf(purged), options),
    await askFor(weatherOf(kept), options),
  ];
  const outcomes = after.map(({ outcome }) => outcome);
  return {
    matched,
    tookMs,
    after,
    checks: [
      {
        holds: matched >= stored.size && matched <= stored.size + background && answer.get('complete') === true,
        text: `purge:  location:${purged} matched ${matched} stored responses; the agents had asked ${stored.size} questions about it`,
      },
      {
        holds: outcomes.join() === 'fetched,fetched,hit',
        text: `after:  ${purged}'s weather ${outcomes[0]}, its events ${outcomes[1]}, ${kept}'s weather a ${outcomes[2]}`,
      },
    ],
  };
}

async function askFor(question: Question, options: PurgeSceneOptions): Promise<Observation> {
  const connection = new Agent();
  try {
    return await observe('operator', { question, target: spell(question, options.random) }, { ...options, connection });
  } finally {
    connection.destroy();
  }
}

function weatherOf(location: string): Question {
  return { kind: 'forecast', location, days: 7, units: 'metric' };
}

function eventsOf(location: string): Question {
  return { kind: 'events', location, dates: undefined, categories: [] };
}
