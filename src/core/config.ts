import type { Route } from './route.ts';

/** Everything the YAML file says, parsed, defaulted and frozen. All durations in milliseconds, all sizes in bytes. */
export interface Config {
  /** Absolute path of the file it came from. */
  readonly file: string;
  readonly server: ServerConfig;
  readonly admin: AdminConfig;
  readonly log: LogConfig;
  readonly store: StoreConfig;
  readonly upstreams: ReadonlyMap<string, UpstreamConfig>;
  /** In the order of the file. */
  readonly routes: readonly Route[];
  readonly warm: WarmConfig;
  readonly purge: PurgeConfig;
  /** What is allowed but hardly meant, in the order of the file; for `check`. */
  readonly notes: readonly ConfigNote[];
}

/** A remark on a place of the configuration file. */
export interface ConfigNote {
  /** As it was given on the command line. */
  readonly file: string;
  /** From 1. */
  readonly line: number;
  /** From 1. */
  readonly column: number;
  /** `routes[0].cache`, or `(file)` for what concerns the whole of it. */
  readonly path: string;
  /** Never the value of a secret. */
  readonly message: string;
}

export interface ListenAddress {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
}

export interface ListenerConfig extends ListenAddress {
  /** `default` for `server.listen`; the key of `server.listeners` for the others. */
  readonly name: string;
  /** Other threads of this process listen there as well, and the kernel shares the connections out (SO_REUSEPORT). */
  readonly shared?: boolean;
}

export interface ServerConfig {
  readonly listeners: readonly ListenerConfig[];
  readonly limits: ServerLimits;
  readonly timeouts: ServerTimeouts;
  /** After SIGTERM readiness is 503 and serving goes on for this long. */
  readonly drainDelayMs: number;
  /** Then requests in flight get this long. */
  readonly graceMs: number;
  /** False: each request is parsed, also one that is byte for byte like one before. */
  readonly fastLane: boolean;
  /** Threads that serve requests; 0: one for each core. */
  readonly workers: number;
}

export interface ServerLimits {
  readonly maxHeaderBytes: number;
  readonly maxHeaderFields: number;
  readonly maxTargetBytes: number;
  /** Request content of relayed requests. */
  readonly maxBodyBytes: number;
  /** Content of requests that are looked up by it, of all together. */
  readonly maxContentBytes: number;
  readonly maxConnections: number;
  readonly maxRequestsPerConnection: number;
  /** Of one connection that run at once. */
  readonly maxPipelined: number;
  /** Of our kind, that a relayed request has passed. */
  readonly maxHops: number;
}

export interface ServerTimeouts {
  /** From the first byte (or the connect) to the end of the request head. */
  readonly headersMs: number;
  /** From the first byte to the end of the request. */
  readonly requestMs: number;
  /** An idle connection is closed after this long. */
  readonly keepAliveMs: number;
  /** A response of which the client takes nothing for this long is ended. */
  readonly sendMs: number;
}

export interface AdminConfig extends ListenAddress {
  /** Bearer token; `undefined` only where the listener is on loopback. */
  readonly token: string | undefined;
  /** Request content at most. */
  readonly maxBodyBytes: number;
}

export interface LogConfig {
  readonly level: 'debug' | 'info' | 'warn' | 'error' | 'silent';
  /** One line per request. */
  readonly requests: boolean;
}

export interface StoreConfig {
  readonly memory: { readonly maxBytes: number };
  /** `undefined`: memory only. */
  readonly redis: RedisConfig | undefined;
}

/** The longest lease that may be configured with `coherence: strict`, since a purge may have to wait for so long. */
export const longestStrictLeaseMs = 60_000;

/** The shared tier and the fleet's coherence. */
export interface RedisConfig {
  readonly topology: RedisTopology;
  readonly username: string | undefined;
  readonly password: string | undefined;
  /** 0 on a cluster. */
  readonly database: number;
  /** `undefined`: no TLS. */
  readonly tls: RedisTls | undefined;
  /** First part of all keys: proxies with the same one are a fleet. */
  readonly keyPrefix: string;
  /** Budget of a read on the request path. */
  readonly timeoutMs: number;
  /** Larger values are not written. */
  readonly maxObjectBytes: number;
  /** Values under way to Redis at most; what comes beyond is not written. */
  readonly maxPendingBytes: number;
  /** Bodies from this size on are compressed where that saves a fifth; `undefined`: none is. */
  readonly compressAboveBytes: number | undefined;
  readonly breaker: { readonly failures: number; readonly pauseMs: number; readonly maxPauseMs: number };
  /** `strict`: a purge answers when it holds everywhere. `available`: it may answer 202 first. */
  readonly coherence: 'strict' | 'available';
  /** How long a process may serve from store after it last heard of the purge log. */
  readonly leaseMs: number;
  /**
   * With `available`: how long a purge waits for acknowledgements before it answers 202. With either: how long the answer to
   * an unsafe method is held back for its invalidation.
   */
  readonly purgeWaitMs: number;
  /** In-sync replicas that the control node must have, and that confirm each purge (split brain); 0: not checked. */
  readonly minReplicas: number;
  /** Purges are kept in the log for so long, and so many of them; what was stored before the oldest is not served. */
  readonly purgeRetentionMs: number;
  readonly maxPurges: number;
  /** Rows of a process' purge table at most; past it the older half is forgotten, and what was stored before it refused. */
  readonly maxScopes: number;
  /** A fill lock and a job lease lapse so long after their holder was last heard of. */
  readonly fillLockMs: number;
  readonly jobLeaseMs: number;
  /** Counters are written this often. */
  readonly countersEveryMs: number;
}

export type RedisTopology =
  | ({ readonly kind: 'standalone' } & RedisNode)
  | {
      readonly kind: 'sentinel';
      readonly sentinels: readonly RedisNode[];
      readonly name: string;
      readonly sentinelUsername: string | undefined;
      readonly sentinelPassword: string | undefined;
    }
  | { readonly kind: 'cluster'; readonly nodes: readonly RedisNode[] };

export interface RedisNode {
  readonly host: string;
  readonly port: number;
}

export interface RedisTls {
  /** PEM file of the authorities to trust instead of the system's. */
  readonly caFile: string | undefined;
  /** PEM files of a client certificate and its key. */
  readonly certFile: string | undefined;
  readonly keyFile: string | undefined;
  /** Name that the certificate must have, where it is not the host's. */
  readonly serverName: string | undefined;
}

export interface UpstreamConfig {
  readonly name: string;
  /** scheme://host[:port], no path. */
  readonly origin: string;
  readonly connectTimeoutMs: number;
  /** From request sent to response head. */
  readonly headersTimeoutMs: number;
  /** Between two pieces of the body. */
  readonly bodyTimeoutMs: number;
  /** From the start of the call to the end of a body that is to be stored (`timeout` of the contract is head and body alike). */
  readonly totalTimeoutMs: number;
  readonly maxConnections: number;
  /** Field lines of a response with their line ends, at most. */
  readonly maxHeaderBytes: number;
  /** A body past this is cut off, streamed or not; on `cache: off` routes there is no such limit. */
  readonly maxBodyBytes: number;
  /** Content coding asked for on ruled routes. */
  readonly acceptEncoding: 'gzip' | 'identity';
  /**
   * `lenient`: content that ends with the connection is complete (RFC 9112 §8), also where its transfer coding is not known.
   * `strict`: the first is passed on and never stored, since an upstream that stopped halfway ends it alike; the second is refused.
   */
  readonly framing: 'strict' | 'lenient';
  readonly credentials: Credentials;
  /** Static request fields, e.g. a User-Agent with a contact address; names lower-cased. */
  readonly fields: ReadonlyMap<string, string>;
  /** PEM file of a CA to trust for this origin beside the system's. */
  readonly caFile: string | undefined;
}

/** Secret values that the proxy puts on; what clients send under these names is dropped whatever its case. */
export interface Credentials {
  /** An empty value is not put on; what clients send under its name is dropped all the same. */
  readonly query: ReadonlyMap<string, string>;
  /** Names lower-cased. Empty values as in `query`. */
  readonly headers: ReadonlyMap<string, string>;
}

export interface WarmConfig {
  readonly locations: readonly string[];
  readonly jobs: readonly WarmJob[];
  /** Fetches under way at once. */
  readonly concurrency: number;
  /** Stored responses with at least this part of their lifetime left are reused, not fetched. 0 to 1. */
  readonly reuseAbove: number;
}

/** What warming by call is counted and told as, where a job has its name. No job has this one. */
export const warmingByCall = 'api';

export interface WarmJob {
  readonly name: string;
  readonly route: string;
  /** Parameter templates: `{location}`, `{today}`, `{today+7d}`. */
  readonly with: ReadonlyMap<string, string>;
  readonly everyMs: number;
  /** Each run is moved by a random part of this. */
  readonly jitterMs: number;
  /** IANA zone in which `{today}` is meant. */
  readonly zone: string;
}

export interface PurgeConfig {
  readonly schedule: readonly ScheduledPurge[];
}

export interface ScheduledPurge {
  readonly cron: string;
  /** IANA zone of the cron expression. */
  readonly zone: string;
  readonly selector: PurgeSelector;
  readonly soft: boolean;
}

/** What a purge covers. */
export type PurgeSelector =
  | { readonly by: 'key'; readonly key: string }
  /** Path and query on the proxy (or absolute), canonicalised like a request; all variants. */
  | { readonly by: 'url'; readonly url: string }
  | { readonly by: 'route'; readonly route: string }
  /** Stored responses whose canonical URL on the proxy starts with this. */
  | { readonly by: 'prefix'; readonly prefix: string }
  /** Any of these tags. */
  | { readonly by: 'tags'; readonly tags: readonly string[] }
  | { readonly by: 'all' };
