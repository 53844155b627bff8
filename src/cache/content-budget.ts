import type { Problem } from '../core/problem.ts';

/** Memory for content: what all who hold some of it hold at once is bounded. */
export class ContentBudget {
  readonly maxBytes: number;
  #taken = 0;

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes;
  }

  share(): ContentShare {
    let held = 0;
    return {
      take: (bytes) => {
        if (this.#taken + bytes > this.maxBytes) return false;
        this.#taken += bytes;
        held += bytes;
        return true;
      },
      keep: (bytes) => {
        this.#taken -= held - bytes;
        held = bytes;
      },
    };
  }
}

/** What one of them holds. */
export interface ContentShare {
  /** False: there is no room for so many bytes more, and none are taken. */
  take(bytes: number): boolean;
  /** Gives back all but so many bytes. */
  keep(bytes: number): void;
}

/** Content of requests that are looked up by it, and that would be past the limit. 429, since real clients take the content of a 503 for data. */
export function tooMuchContent(limit: number): Problem {
  return {
    status: 429,
    code: 'too-much-content',
    title: 'Too much content at once',
    detail: `The contents of the requests that are under way would have more than ${limit} bytes together.`,
    retryAfter: 1,
    extra: { limit },
  };
}

/** Content without its coding that would be past the limit. 429 for the same reason. */
export function tooMuchDecoded(limit: number): Problem {
  return {
    status: 429,
    code: 'too-much-decoded',
    title: 'Too much decoded at once',
    detail: `What is without its content coding for clients that rule that out would have more than ${limit} bytes together.`,
    retryAfter: 1,
    extra: { limit },
  };
}
