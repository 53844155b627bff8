import type { RedisFailureKind } from '../../cache/fleet-ports.ts';
import { RedisFailure } from './link.ts';

const kindByCode: ReadonlyMap<string, RedisFailureKind> = new Map([
  ['READONLY', 'readonly'],
  ['MASTERDOWN', 'readonly'],
  ['LOADING', 'loading'],
  ['OOM', 'oom'],
  ['NOREPLICAS', 'noreplicas'],
  ['CLUSTERDOWN', 'clusterdown'],
  ['TRYAGAIN', 'clusterdown'],
  ['MOVED', 'clusterdown'],
  ['ASK', 'clusterdown'],
  ['NOAUTH', 'auth'],
  ['WRONGPASS', 'auth'],
  ['NOPERM', 'auth'],
]);

const sentenceByKind: Readonly<Record<Exclude<RedisFailureKind, 'other'>, string>> = {
  closed: 'there is no connection to Redis',
  timeout: 'Redis did not answer in time',
  readonly: 'this Redis is a replica, which takes no writes',
  loading: 'Redis is loading its data',
  oom: 'Redis has no memory left for a write',
  noreplicas: 'Redis has fewer replicas in step than are asked for',
  clusterdown: 'the Redis cluster does not serve this slot',
  auth: 'Redis refuses the user, its password, or one of its commands',
};

/**
 * What the client library rejected a command with, as ours. The library's error is not kept as `cause`: it carries the
 * arguments of the command, which are keys, contents, and in the first ones of a connection the password.
 */
export function redisFailure(error: unknown): RedisFailure {
  if (error instanceof RedisFailure) return error;
  const message = innermost(error);
  const kind = kindOf(message);
  const sentence = kind === 'other' ? `Redis answered ${replyWords(message)}` : sentenceByKind[kind];
  return new RedisFailure(kind, sentence, { isUnsent: unsent.test(message) });
}

/** What the library says where it has no connection to send a command on, and may keep none for later. */
const unsent = /^(?:Stream isn't writeable|Cluster isn't ready) and enableOfflineQueue/;

/** What the library says of a server that is none of Redis, and what to look at. */
const hints: readonly (readonly [words: RegExp, said: string])[] = [
  // Without an address: its own time to connect is over, in which TLS is agreed on too.
  [
    /^connect ETIMEDOUT$/,
    'connect ETIMEDOUT: no connection within the time for it; see host and port, and with TLS (rediss://) whether this Redis takes it',
  ],
  [/^Unknown RESP type\b/, 'what answers there does not speak the protocol of Redis; see host and port'],
];

/** Why there is no connection, for the log: addresses and system errors, no credential. `undefined`: nothing new. */
export function describeTrouble(error: unknown): string | undefined {
  const message = innermost(error);
  const isOfSentinels = error instanceof Error && error.message.startsWith('All sentinels are unreachable');
  if (isOfSentinels && !isReply(message)) return 'no Sentinel answers';
  // Follows from another one, which is said.
  if (message.startsWith('Stream isn')) return undefined;
  if (isReply(message)) {
    const failure = redisFailure(error);
    return failure.kind === 'other' && isOfDatabase(error) ? 'Redis has no database of this number' : failure.message;
  }
  if (error instanceof AggregateError && message === '') return error.errors.map(describeTrouble).join(', ');
  return libraryWords(message) || 'the connection broke';
}

/** The connection's own words ("connect ECONNREFUSED 127.0.0.1:6379") name hosts and ports. */
function libraryWords(message: string): string {
  const hint = hints.find(([words]) => words.test(message))?.[1];
  return hint ?? message.replace(/ ?Please report this\.$/, '').slice(0, 200);
}

/**
 * Whether a connection failed to choose its database, with which the library takes it for ready all the same: on database 0,
 * which is another one's. It says so of a reply; a choice that was not answered in time may yet be refused.
 */
export function isOfDatabase(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (error.message === 'Command timed out') return true;
  const command: unknown = 'command' in error ? error.command : undefined;
  return typeof command === 'object' && command !== null && 'name' in command && command.name === 'select';
}

/** Kinds of what Redis itself says where it lets nobody in, or serves nobody yet. */
const barring: ReadonlySet<RedisFailureKind> = new Set(['auth', 'loading', 'clusterdown']);

/** Why commands cannot be sent as long as this is the last trouble, where more is known than that there is no connection. */
export function barringFailure(error: unknown): RedisFailure | undefined {
  const failure = redisFailure(error);
  return barring.has(failure.kind) ? failure : undefined;
}

/** Whether a reply says that this server is not, or no longer, the one that takes writes. */
export function saysReplica(error: Error): boolean {
  return kindByCode.get(replyCode(error.message)) === 'readonly';
}

function kindOf(message: string): RedisFailureKind {
  if (message === 'Command timed out') return 'timeout';
  if (!isReply(message)) return 'closed';
  // Redis 7.0 and 7.2 for what a script may not do, without a code of their own.
  if (/^ERR (The user executing the script|ACL failure in script)/.test(message)) return 'auth';
  return kindByCode.get(replyCode(message)) ?? 'other';
}

/**
 * A cluster's last error and a Sentinel's are quoted at the end of the library's sentence; what the last node of a cluster
 * replied, when none would say where the slots are, is beside it.
 */
function innermost(error: unknown): string {
  const message = error instanceof Error ? error.message : '';
  const at = message.lastIndexOf('Last error: ');
  if (at !== -1) return message.slice(at + 'Last error: '.length).replace(/^\w*Error: /, '');
  const ofNode = error instanceof Error && 'lastNodeError' in error ? error.lastNodeError : undefined;
  return ofNode instanceof Error && isReply(ofNode.message) ? ofNode.message : message;
}

/** Replies begin with a word in capitals; the library's own sentences do not. */
function isReply(message: string): boolean {
  return /^[A-Z]{2,}(?![A-Za-z])/.test(message);
}

function replyCode(message: string): string {
  return /^[A-Z]+/.exec(message)?.[0] ?? '';
}

/** The code and the place in a script: the rest of a reply may repeat arguments. */
function replyWords(message: string): string {
  const line = /user_script:\d+/.exec(message)?.[0];
  return line === undefined ? replyCode(message) : `${replyCode(message)} at ${line}`;
}
