import type { Config } from '../core/config.ts';
import type { Problem } from '../core/problem.ts';
import { ByteCollector } from './byte-collector.ts';
import { ContentBudget, type ContentShare, tooMuchDecoded } from './content-budget.ts';
import type { ClientLink } from './handled.ts';
import type { ContentDecoder, Observer } from './ports.ts';

/** So many threads libuv has for such work: more at once would only take more memory, and the time of all others. */
export const MAX_DECODED_AT_ONCE = 4;

/**
 * Bytes that all that is decoded and not yet sent may have: a quarter of what memory may hold of stored responses, but never so few
 * that the largest of them could not be decoded, for which it is there twice for a moment.
 */
export function decodedBytesOf({ store, routes }: Pick<Config, 'store' | 'routes'>): number {
  const coded = routes.filter(({ policy }) => policy.upstreamCacheControl === 'honour');
  return Math.max(store.memory.maxBytes / 4, ...coded.map(({ policy }) => 2 * policy.maxStoredBytes));
}

export interface DecodedOptions {
  readonly decoder: ContentDecoder;
  /** Bytes that all that is decoded and not yet sent may have. */
  readonly maxBytes: number;
  readonly observer: Pick<Observer, 'limit'>;
}

/** Content in its coding. */
export interface CodedContent {
  /** Of the response that it is of: who asks for the same one is given the same. */
  readonly key: string;
  readonly coding: string;
  readonly body: Buffer;
  /** What has more bytes without its coding fails. */
  readonly maxBytes: number;
}

/** Who asks for what nobody else asks for. */
type Client = Pick<ClientLink, 'whenOver'> | undefined;

/**
 * Takes codings off that clients rule out. Some kilobytes may become megabytes, for a request of some fifty bytes: so of each
 * content there is one decoding for all who ask for it until all of them have been sent their answers, and what they hold together is
 * bounded. What nobody waits for any more is ended.
 */
export class DecodedContents {
  readonly #options: DecodedOptions;
  readonly #budget: ContentBudget;
  /** Of each key what was begun last, while anybody holds it. */
  readonly #known = new Map<string, Decoding>();
  /** In the order in which they came. */
  readonly #waiting = new Set<Decoding>();
  #underWay = 0;

  constructor(options: DecodedOptions) {
    this.#options = options;
    this.#budget = new ContentBudget(options.maxBytes);
  }

  /** False: {@link decode} gives nothing. */
  knows(content: CodedContent): boolean {
    return this.#piecesOf(content) !== undefined;
  }

  /**
   * Identity bytes, which nobody may change; `undefined` for a coding that is not known. Rejects with an {@link UpstreamBodyError}, or
   * with what {@link problemOf} knows. They count until the client's answer is over; without a client until they are there.
   */
  decode(content: CodedContent, client: Client): Promise<Buffer> | undefined {
    const { key } = content;
    let decoding = this.#known.get(key);
    if (decoding?.isOf(content) !== true) {
      const pieces = this.#piecesOf(content);
      if (pieces === undefined) return undefined;
      decoding = new Decoding(content, pieces, this.#budget.share());
      this.#known.set(key, decoding);
      this.#waiting.add(decoding);
      this.#beginNext();
    }
    this.#hold(decoding, client);
    return decoding.result.promise;
  }

  /** The answer to who gets nothing since there is no room; `undefined`: that is not why. Counts it. */
  problemOf(error: unknown): Problem | undefined {
    if (!(error instanceof NoRoom)) return undefined;
    this.#options.observer.limit('server.decodedBytes');
    return tooMuchDecoded(this.#budget.maxBytes);
  }

  #piecesOf({ coding, body, maxBytes }: CodedContent): AsyncIterable<Buffer> | undefined {
    return this.#options.decoder.pieces(coding, body, maxBytes);
  }

  #hold(decoding: Decoding, client: Client): void {
    decoding.holders += 1;
    const letGo = (): void => {
      decoding.holders -= 1;
      if (decoding.holders === 0) this.#drop(decoding);
    };
    if (client === undefined) decoding.result.promise.then(letGo, letGo);
    else client.whenOver(letGo);
  }

  /** Nobody holds it. What is under way notices that itself. */
  #drop(decoding: Decoding): void {
    this.#forget(decoding);
    if (this.#waiting.delete(decoding)) decoding.result.reject(new Abandoned());
    if (decoding.isOver) decoding.share.keep(0);
  }

  #forget(decoding: Decoding): void {
    if (this.#known.get(decoding.content.key) === decoding) this.#known.delete(decoding.content.key);
  }

  #beginNext(): void {
    for (const next of this.#waiting) {
      if (this.#underWay === MAX_DECODED_AT_ONCE) return;
      this.#waiting.delete(next);
      this.#underWay += 1;
      void this.#run(next);
    }
  }

  async #run(decoding: Decoding): Promise<void> {
    const { result, share } = decoding;
    try {
      result.resolve(await decoding.collect());
    } catch (error) {
      // Who comes later is to have it tried anew: there may be room then.
      this.#forget(decoding);
      share.keep(0);
      result.reject(error);
    } finally {
      decoding.isOver = true;
      if (decoding.holders === 0) share.keep(0);
      this.#underWay -= 1;
      this.#beginNext();
    }
  }
}

/** One content on its way out of its coding, and what has come of it. */
class Decoding {
  readonly content: CodedContent;
  readonly share: ContentShare;
  readonly result = Promise.withResolvers<Buffer>();
  /** Answers that wait for it or are not sent yet. */
  holders = 0;
  /** It has come to its end, whichever. */
  isOver = false;
  readonly #pieces: AsyncIterable<Buffer>;

  constructor(content: CodedContent, pieces: AsyncIterable<Buffer>, share: ContentShare) {
    this.content = content;
    this.share = share;
    this.#pieces = pieces;
  }

  /** By its bytes: the same response is another object in each tier, and each time that it is unpacked. */
  isOf({ coding, body, maxBytes }: CodedContent): boolean {
    const own = this.content;
    return coding === own.coding && maxBytes === own.maxBytes && (body === own.body || body.equals(own.body));
  }

  async collect(): Promise<Buffer> {
    const { share } = this;
    const { maxBytes } = this.content;
    const collector = new ByteCollector({ maxBytes, mayTake: (bytes) => share.take(bytes) });
    for await (const piece of this.#pieces) {
      if (this.holders === 0) throw new Abandoned();
      if (!collector.add(piece)) throw new NoRoom();
    }
    // For a moment it is there twice.
    if (!share.take(collector.bytes)) throw new NoRoom();
    const whole = collector.take();
    share.keep(whole.length);
    return whole;
  }
}

/** All who asked for it have gone. */
class Abandoned extends Error {}

class NoRoom extends Error {}
