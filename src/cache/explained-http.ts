/** What of HTTP caching a note is about. */
export const explainedTopics = [
  /** Why it may be stored at all. */
  'storage',
  /** Which lifetime counts, and whose it is. */
  'lifetime',
  'age',
  /** For how long it may be served stale, or why it may not. */
  'stale',
  /** The next instant at which the rule says that the data changes. */
  'expireAt',
  'vary',
  /** Tags that upstream has given it. */
  'tags',
  /** What upstream has said counts of a query. */
  'query',
  /** Directives of the request. */
  'client',
  'condition',
  'range',
  /** Whether the coding of the content stays on. */
  'coding',
  'method',
  /** What an answer makes invalid. */
  'invalidation',
  /** What a client gets when upstream fails. */
  'failure',
  'softTimeout',
  /** Whether interim responses are passed on. */
  'interim',
] as const;

export type ExplainedTopic = (typeof explainedTopics)[number];

/** One piece of HTTP caching that has a part in a request, in words, with the RFC's section where one says so. */
export interface ExplainedNote {
  readonly topic: ExplainedTopic;
  readonly text: string;
}

/** What the client would be sent, as far as it is known without upstream. */
export interface ExplainedReply {
  /** `null` where it is upstream's to say. */
  readonly status: number | null;
  /** The value of Cache-Status (RFC 9211), members of caches nearer to the origin first; without `fwd-status`, `stored` and `detail` where upstream's answer decides them. */
  readonly cacheStatus: string;
}

/** An answer of upstream's that an operator makes up, to see what would be done with it. */
export interface ExplainedResponse {
  /** 200 to 999: what upstream can send, of a class or not (RFC 9110 §15). */
  readonly status: number;
  /** Names in any case; lines of one field are combined with commas. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** What would be done with an {@link ExplainedResponse}, its content taken for complete and good. */
export interface ExplainedAnswer {
  /** True: for later requests, be it the answer itself or what a 304 or a HEAD has confirmed. */
  readonly stored: boolean;
  /** Why it is not stored, as in Cache-Status and the metrics; `null` where it is, or where it is relayed. */
  readonly token: string | null;
  /** A sentence, with the RFC's section where it decides. */
  readonly reason: string;
  /** What the client would be sent; `null` where nobody knows, since upstream would be asked once more. */
  readonly sent: ExplainedReply | null;
  /** The key that it would be stored under, with the variant part; `null` where it is not stored. */
  readonly key: string | null;
  /** Those of the request and those that upstream gives it. */
  readonly tags: readonly string[];
  /** What it makes invalid, in words of the purge log: `u:URL`, `t:TAG`, `k:KEY`. */
  readonly invalidates: readonly string[];
  readonly notes: readonly ExplainedNote[];
}
