import type { RedisNode } from '../core/config.ts';
import type { Compilation } from './compilation.ts';
import type { Environment } from './env.ts';
import { givenHost, hostProblem, maxDatabase, parseRedisUrl } from './redis-address.ts';
import { isGiven, readable, unlessRefused } from './refused.ts';
import { quoted } from './units.ts';
import { bareVariableHint } from './words.ts';

/** Where Redis is, and as whom to ask. */
export type FoundRedis = Account &
  (
    | ({ readonly at: 'server' } & RedisNode)
    | { readonly at: 'sentinels' | 'cluster'; readonly nodes: readonly RedisNode[] }
  );

interface Account {
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly database: number;
  /** What the URL says; `undefined`: there is none. */
  readonly tls: boolean | undefined;
}

type Section = NonNullable<Compilation['input']['store']['redis']>;

/** What an address beside the file's options says of the account. */
interface Said {
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  readonly database?: number | undefined;
  readonly tls?: boolean;
}

const at = ['store', 'redis'];

/** The variables that say where Redis is, in their order. */
export const addressVariables = ['REDIS_URL', 'REDIS_HOST'] as const;

/** Those that say more of it. */
export const accountVariables = ['REDIS_PORT', 'REDIS_DB', 'REDIS_USERNAME', 'REDIS_PASSWORD'] as const;

/** What the file and the environment say of where Redis is. */
export interface LocatedRedis {
  /** The options that say it, right or wrong; `url` also for an environment that does. Empty: this proxy keeps to memory. */
  readonly at: readonly ('url' | 'sentinels' | 'cluster')[];
  /** `undefined` where nothing says it, or what does has issues. */
  readonly found: FoundRedis | undefined;
  /** Whether the URL asks for TLS; `undefined` where there is none. */
  readonly byUrl: boolean | 'unknown' | undefined;
}

/** The options that say where Redis is, right or wrong. */
function givenIn(section: Section): readonly ('url' | 'sentinels' | 'cluster')[] {
  return (['url', 'sentinels', 'cluster'] as const).filter((option) => isGiven(() => section[option]));
}

/** Whether anything says where Redis is, right or wrong: else the proxy keeps to memory. */
export function saysWhereRedisIs({ env }: Compilation, section: Section): boolean {
  return givenIn(section).length > 0 || addressVariables.some((one) => (env[one] ?? '') !== '');
}

/** Where Redis is. All that the file says of it is checked, also where it says too much. */
export function locateRedis(compilation: Compilation, section: Section): LocatedRedis {
  const { issues, env } = compilation;
  const given = givenIn(section);
  const [first, ...others] = given;
  for (const other of others) {
    const message = `is beside ${first ?? ''}; exactly one of url, sentinels and cluster says where Redis is`;
    issues.add([...at, other], message, 'key');
  }
  if (first !== undefined) {
    const found = given.map((option) => unlessRefused(() => foundAt(compilation, section, option)));
    const byUrl = first === 'url' ? (unlessRefused(() => asksForTls(section.url)) ?? 'unknown') : undefined;
    return { at: given, found: others.length === 0 ? found[0] : undefined, byUrl };
  }
  if (!saysWhereRedisIs(compilation, section)) return { at: [], found: undefined, byUrl: undefined };
  const url = env['REDIS_URL'] ?? '';
  const found = unlessRefused(() =>
    url === '' ? hostOf(compilation, section) : serverOf(compilation, section, { url, from: 'environment' }),
  );
  return { at: ['url'], found, byUrl: url === '' ? undefined : asksForTls(url) };
}

function asksForTls(url: string): boolean | 'unknown' {
  const parsed = parseRedisUrl(url);
  return parsed.ok ? parsed.value.tls : 'unknown';
}

function foundAt(
  compilation: Compilation,
  section: Section,
  option: 'url' | 'sentinels' | 'cluster',
): FoundRedis | undefined {
  if (option === 'url') return serverOf(compilation, section, { url: section.url, from: 'file' });
  const said = account(compilation, section, {});
  const nodes = section[option];
  return nodes && { at: option, nodes: readable(nodes).map(([, node]) => node), ...said };
}

function serverOf(
  compilation: Compilation,
  section: Section,
  given: { readonly url: string; readonly from: 'file' | 'environment' },
): FoundRedis | undefined {
  const { issues } = compilation;
  const parsed = parseRedisUrl(given.url);
  if (parsed.ok) {
    const { host, port } = parsed.value;
    return { at: 'server', host, port, ...account(compilation, section, parsed.value) };
  }
  if (given.from === 'environment') issues.add(at, `the environment's REDIS_URL ${parsed.error}`, 'key');
  else issues.add([...at, 'url'], parsed.error + bareVariableHint(given.url));
  return undefined;
}

function hostOf(compilation: Compilation, section: Section): FoundRedis | undefined {
  const { issues, env } = compilation;
  const host = env['REDIS_HOST'] ?? '';
  const wrong = hostProblem(host);
  if (wrong !== undefined) {
    const message = `the environment's REDIS_HOST ${wrong}, given ${givenHost(host)}; a port goes into REDIS_PORT, a URL into REDIS_URL`;
    issues.add(at, message, 'key');
  }
  const port = portOf(env);
  if (typeof port === 'string') issues.add(at, port, 'key');
  const written = env['REDIS_DB'] ?? '';
  const isDatabase = /^\d{0,7}$/.test(written) && Number(written) <= maxDatabase;
  if (!isDatabase)
    issues.add(at, `the environment's REDIS_DB is no number of a database, given ${quoted(written)}`, 'key');
  if (wrong !== undefined || typeof port === 'string' || !isDatabase) return undefined;
  // Overruled by the file without a word: the variable may be there for other programs.
  const database = written === '' || section.database !== undefined ? undefined : Number(written);
  return { at: 'server', host, port, ...account(compilation, section, { database }) };
}

/** A sentence where the variable is no port. */
function portOf(env: Environment): number | string {
  const written = env['REDIS_PORT'] ?? '';
  if (written === '') return 6379;
  const port = /^\d{1,5}$/.test(written) ? Number(written) : 0;
  if (port >= 1 && port <= 65_535) return port;
  if (/^(tcp|udp):\/\//.test(written)) {
    return `the environment's REDIS_PORT is ${quoted(written)}, which Kubernetes (and Docker, with links) puts there for a service called redis; set REDIS_PORT to the number of the port, or use REDIS_URL`;
  }
  return `the environment's REDIS_PORT is no port (1 to 65535), given ${quoted(written)}`;
}

/** The file's word, else the address's, else the environment's; the first two may not both say something. */
function account(compilation: Compilation, section: Section, said: Said): Account {
  const { env } = compilation;
  refuseTwice(compilation, section, said);
  const given = nonEmpty(section.password) ?? said.password;
  const password = given ?? nonEmpty(env['REDIS_PASSWORD']);
  // The environment's user goes with the environment's password.
  const ofEnvironment = given === undefined ? nonEmpty(env['REDIS_USERNAME']) : undefined;
  const username = section.username ?? said.username ?? ofEnvironment;
  if (password === undefined) refuseUser(compilation, section, username);
  return { username, password, database: section.database ?? said.database ?? 0, tls: said.tls };
}

function refuseTwice({ issues }: Compilation, section: Section, said: Said): void {
  for (const option of ['username', 'password', 'database'] as const) {
    if (said[option] === undefined || !isGiven(() => section[option])) continue;
    issues.add([...at, option], 'is in the URL too; one of them is enough', 'key');
  }
}

function refuseUser({ issues }: Compilation, section: Section, username: string | undefined): void {
  if (username === undefined) return;
  const message = 'a user needs a password: in the URL, in `password`, or in REDIS_PASSWORD';
  if (section.username === undefined) issues.add(at, message, 'key');
  else issues.add([...at, 'username'], message);
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === '' ? undefined : text;
}
