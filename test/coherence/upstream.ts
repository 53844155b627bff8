import { once } from 'node:events';
import { createServer, type IncomingMessage, type OutgoingHttpHeaders, type ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

import { effectsField, languageFor, LearnUpstream, type WireEffects } from './learn-upstream.ts';
import { resourceOf } from './learn-world.ts';
import type { Random } from './random.ts';

/** An upstream whose answers have versions, and show when they were fetched. */
export interface VersionedUpstream extends AsyncDisposable {
  readonly port: number;
  /** As configurations name it. */
  readonly origin: string;
  /** Requests so far. */
  readonly calls: number;
  /** What it says of keys and tags. */
  readonly learn: LearnUpstream;
  /** From now on it sends no answer until what is given back is called. */
  hold(): () => void;
  /** Gives the resources of the targets a new version each, and returns them by resource. */
  bump(targets: readonly string[]): ReadonlyMap<string, number>;
}

/** Fields of an answer. A 304 sends them anew, and a cache puts them in the place of those that it stored (RFC 9111 §3.2). */
export const versionField = 'x-version';
export const fetchedField = 'x-fetched-ms';
/** Of the answer to an unsafe request: what it has changed, as JSON of {@link Changed}. */
export const changedField = 'x-changed';

/** What an unsafe request has changed. */
export interface Changed {
  /** When the head of the answer was sent. */
  readonly headMs: number;
  /** Resource and its new version: the request's own, those that the answer names, and those of the groups. */
  readonly versions: readonly (readonly [string, number])[];
}

/** How long an answer takes, milliseconds. */
export interface Pace {
  readonly leastMs: number;
  readonly mostMs: number;
}

/**
 * Listens on a free port of loopback. The version is read at a random instant between the arrival of the request and its
 * answer, as it is upstream where a database is asked in between: what is fetched around a purge may be older or newer.
 * `isSteady`: what it says of keys and tags stays as it was set.
 */
export async function startVersionedUpstream(
  random: Random,
  { leastMs, mostMs }: Pace = { leastMs: 5, mostMs: 300 },
  isSteady = false,
): Promise<VersionedUpstream> {
  const states = new States(random.fork('learn'), isSteady);
  let calls = 0;
  let held: Promise<void> | undefined;
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const fetchedMs = performance.now();
    calls += 1;
    request.resume();
    const tookMs = random.whole(leastMs, mostMs);
    const lookedMs = tookMs * random.next();
    await sleep(lookedMs);
    const isRead = request.method === 'GET' || request.method === 'HEAD';
    const { status, fields } = isRead ? states.read(request) : states.change(request);
    await sleep(tookMs - lookedMs);
    await held;
    const changed = fields[changedField];
    if (typeof changed === 'string') {
      fields[changedField] = JSON.stringify({ ...JSON.parse(changed), headMs: performance.now() });
    }
    response.writeHead(status, { ...fields, [fetchedField]: fetchedMs });
    response.end(status === 204 || status === 304 ? undefined : JSON.stringify({ padding: '.'.repeat(500) }));
  };
  const server = createServer((request, response) => void answer(request, response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the upstream has no port');
  return {
    port: address.port,
    origin: `http://127.0.0.1:${address.port}`,
    learn: states.learn,
    get calls() {
      return calls;
    },
    hold() {
      const { promise, resolve } = Promise.withResolvers<void>();
      held = promise;
      return resolve;
    },
    bump: (targets) => states.bump(targets),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

interface Head {
  readonly status: number;
  readonly fields: OutgoingHttpHeaders;
}

/** What the upstream's database holds. Reads and changes happen in one step. */
class States {
  readonly learn: LearnUpstream;
  readonly #isSteady: boolean;
  readonly #versions = new Map<string, number>();

  constructor(random: Random, isSteady: boolean) {
    this.learn = new LearnUpstream(random);
    this.#isSteady = isSteady;
  }

  bump(targets: readonly string[]): ReadonlyMap<string, number> {
    const resources = new Set(targets.map((target) => resourceOf(target)));
    for (const resource of resources) this.#versions.set(resource, this.#versionOf(resource) + 1);
    return new Map([...resources].map((resource) => [resource, this.#versionOf(resource)]));
  }

  read(request: IncomingMessage): Head {
    const target = request.url ?? '/';
    const version = this.#versionOf(target);
    const language = languageFor(request);
    const etag = `"${version}-${language}"`;
    const isWhole = request.headers['if-none-match'] !== etag;
    // What is stale is asked for behind the reader's back in one folder, and while the reader waits in the other.
    const grace = target.startsWith('/far/b') ? '' : ', stale-while-revalidate=1';
    const ofVariant = isVaried(target) ? { vary: 'accept-language', 'content-language': language } : {};
    const fields = {
      ...this.learn.fieldsOf(request, { isWhole, isSteady: this.#isSteady }),
      ...ofVariant,
      etag,
      [versionField]: version,
      'cache-control': `max-age=${target.startsWith('/learn') ? 2 : 1}${grace}`,
    };
    return isWhole
      ? { status: 200, fields: { ...fields, 'content-type': 'application/json' } }
      : { status: 304, fields };
  }

  /** As the client asked for. Nothing but the answer to a POST is like that to a GET, which may be stored for it. */
  change(request: IncomingMessage): Head {
    const target = request.url ?? '/';
    const wanted: WireEffects = JSON.parse(String(request.headers[effectsField]));
    const named = [wanted.location, wanted.contentLocation].filter((one) => one !== undefined);
    const members = wanted.groups.flatMap((group) => this.learn.taggedBy(`group:${group}`));
    const versions = [...this.bump([target, ...named, ...members])];
    const ofAnswer = {
      [changedField]: JSON.stringify({ versions }),
      ...(wanted.location === undefined ? {} : { location: wanted.location }),
      ...(wanted.contentLocation === undefined ? {} : { 'content-location': wanted.contentLocation }),
      ...(wanted.groups.length === 0
        ? {}
        : { 'cache-group-invalidation': wanted.groups.map((group) => `"${group}"`).join(', ') }),
    };
    if (request.method === 'DELETE') return { status: 204, fields: ofAnswer };
    if (request.method === 'PUT' || wanted.location !== undefined) return { status: 201, fields: ofAnswer };
    return { status: 200, fields: { ...this.read(request).fields, ...ofAnswer } };
  }

  #versionOf(target: string): number {
    return this.#versions.get(resourceOf(target)) ?? 0;
  }
}

/** Half of what upstream has a say in, so that rules of queries meet variants as well. */
function isVaried(target: string): boolean {
  return !target.startsWith('/learn/a');
}
