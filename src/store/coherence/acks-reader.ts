import type { RedisLink } from '../redis/link.ts';
import { type AcksReply, readAcksReply } from './replies.ts';
import { acksScript } from './scripts.ts';

/** What each script is called with first. */
export interface ScriptBase {
  readonly keys: readonly [control: string, log: string];
  readonly args: readonly (string | number)[];
}

/** Asks who has acknowledged, for all purges that wait at once: one question is under way, all that comes meanwhile is the next. */
export class AcksReader {
  readonly #link: RedisLink;
  readonly #base: ScriptBase;
  #asked = new Set<string>();
  #next: Promise<AcksReply> | undefined;
  #underWay: Promise<unknown> = Promise.resolve();

  constructor(link: RedisLink, base: ScriptBase) {
    this.#link = link;
    this.#base = base;
  }

  /** Of these ids, and perhaps of others. Rejects with RedisFailure. */
  read(ids: Iterable<string>): Promise<AcksReply> {
    for (const id of ids) this.#asked.add(id);
    this.#next ??= this.#ask(this.#underWay);
    return this.#next;
  }

  async #ask(before: Promise<unknown>): Promise<AcksReply> {
    // Whether that one was answered is the affair of those who asked it.
    await Promise.allSettled([before]);
    const ids = [...this.#asked];
    this.#asked = new Set();
    this.#next = undefined;
    const { keys, args } = this.#base;
    const reply = this.#link.run(acksScript, keys, [...args, ...ids]);
    this.#underWay = reply;
    return readAcksReply(await reply, ids);
  }
}
