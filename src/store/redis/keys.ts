import { hash } from 'node:crypto';

/** The names of everything in Redis, under one prefix, all of ASCII. Control keys share a slot; data keys spread over all. */
export interface RedisKeys {
  /** HASH: epoch, seq, floor, replication history, members. */
  readonly control: string;
  /** STREAM: the purges. */
  readonly log: string;
  /** Channel on which a purge is announced. */
  readonly bell: string;
  /** HASH: the counters of the fleet. */
  readonly counters: string;
  /** STRING: one stored response, by the digest of its key and of what made it. */
  entry(fingerprint: string, key: string): string;
  /** STRING: who fetches it; same slot as the entry. */
  lock(entry: string): string;
  /** STRING: the lease of a job. */
  job(name: string): string;
}

/** `keyPrefix` is of letters, digits and `._:-`. */
export function redisKeys(keyPrefix: string): RedisKeys {
  const control = `${keyPrefix}:{${keyPrefix}}`;
  return {
    control: `${control}:ctl`,
    log: `${control}:log`,
    bell: `${control}:bell`,
    counters: `${control}:counters`,
    entry: (fingerprint, key) => `${keyPrefix}:e:{${digest(`${fingerprint}\n${key}`)}}`,
    lock: (entry) => `${entry}:l`,
    job: (name) => `${keyPrefix}:j:${digest(name)}`,
  };
}

/** 128 bits, 22 characters: two keys of one digest are told apart by the key that is stored with the response. */
function digest(text: string): string {
  return hash('sha256', text, 'base64url').slice(0, 22);
}

/** A key begins with its route's name, encoded as a query value. */
export function routeOf(key: string): string {
  const name = key.slice(0, Math.max(0, key.indexOf('|')));
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}
