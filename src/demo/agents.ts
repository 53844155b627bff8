import { Agent } from 'node:http';
import { get } from './http-get.ts';
import { drawQuestion, identityOf, openingQuestion, type Question } from './questions.ts';
import { createRandom } from './seeded.ts';
import { spell } from './spelling.ts';

/** What one agent will ask, in this order. */
export interface AgentScript {
  readonly agent: string;
  readonly asks: readonly Ask[];
}

export interface Ask {
  readonly question: Question;
  /** Path and query as the agent spells them. */
  readonly target: string;
}

/** How one request went, as the agent saw it. */
export interface Observation {
  readonly agent: string;
  readonly question: Question;
  readonly identity: string;
  readonly target: string;
  readonly status: number;
  readonly outcome: ObservedOutcome;
  readonly tookMs: number;
  readonly bytes: number;
  /** True where the text that must stay secret was in the answer's fields or body. */
  readonly leaked: boolean;
}

/** Read from `Cache-Status`: `none` where the answer has no such line of the proxy's. */
export type ObservedOutcome = 'hit' | 'fetched' | 'collapsed' | 'none';

const agentNames = [
  'trip-planner',
  'concierge',
  'field-crew',
  'newsletter',
  'chat-assistant',
  'event-scout',
  'routing',
  'dashboard',
] as const;

/** Writes what each agent will ask; the same seed gives the same scripts. */
export function writeScripts(seed: number, requests: number): readonly AgentScript[] {
  const random = createRandom(seed);
  const asks = new Map<string, Ask[]>(agentNames.map((name) => [name, []]));
  for (let i = 0; i < requests; i++) {
    const question = i < agentNames.length ? openingQuestion : drawQuestion(random);
    asks.get(agentNames[i % agentNames.length] ?? '')?.push({ question, target: spell(question, random) });
  }
  return [...asks].map(([agent, list]) => ({ agent, asks: list }));
}

export interface PlayOptions {
  /** Base URL of the proxy. */
  readonly proxy: string;
  /** Text that must be in no answer. */
  readonly secret: string;
  /** Called after each answer with how many there are. */
  readonly onProgress: (done: number) => void;
  readonly signal: AbortSignal;
}

/** All agents at once, each asking one thing after the other over a connection of its own. */
export async function play(scripts: readonly AgentScript[], options: PlayOptions): Promise<readonly Observation[]> {
  const observations: Observation[] = [];
  await Promise.all(
    scripts.map(async ({ agent, asks }) => {
      const connection = new Agent({ keepAlive: true, maxSockets: 1 });
      try {
        for (const asked of asks) {
          if (options.signal.aborted) return;
          observations.push(await observe(agent, asked, { ...options, connection }));
          options.onProgress(observations.length);
        }
      } finally {
        connection.destroy();
      }
    }),
  );
  return observations;
}

/** Asks one thing and notes how it went. */
export async function observe(
  agent: string,
  { question, target }: Ask,
  options: Pick<PlayOptions, 'proxy' | 'secret'> & { readonly connection: Agent },
): Promise<Observation> {
  const answer = await get(`${options.proxy}${target}`, { agent: options.connection, fields: { 'user-agent': agent } });
  const seen = JSON.stringify(answer.fields) + answer.body.toString('latin1');
  return {
    agent,
    question,
    identity: identityOf(question),
    target,
    status: answer.status,
    outcome: outcomeOf(answer.fields['cache-status']?.toString()),
    tookMs: answer.tookMs,
    bytes: answer.body.length,
    leaked: seen.includes(options.secret),
  };
}

/** What the first member of a `Cache-Status` line (RFC 9211) says, where it is the proxy's. */
export function outcomeOf(cacheStatus: string | undefined): ObservedOutcome {
  const [name, ...parameters] = (cacheStatus?.split(',')[0] ?? '').split(';').map((part) => part.trim());
  if (name !== 'forecache') return 'none';
  if (parameters.includes('hit')) return 'hit';
  return parameters.includes('collapsed') ? 'collapsed' : 'fetched';
}
