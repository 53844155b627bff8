import type { UpstreamConfig } from '../core/config.ts';
import { relayConnector, RelayLine } from './connection.ts';

/**
 * Connections for relayed requests without content, one request at a time on each. There are as many as there are requests under
 * way; those that are idle are kept up to `maxConnections`, and the one that was used last is used first, so that what is too much
 * gets old.
 */
export class RelayLines {
  readonly #config: UpstreamConfig;
  readonly #connect: ReturnType<typeof relayConnector>;
  #idle: RelayLine[] = [];

  /** Throws where the `caFile` cannot be read. */
  constructor(config: UpstreamConfig) {
    this.#config = config;
    this.#connect = relayConnector(config);
  }

  /** How many wait for a request. */
  get idle(): number {
    return this.#idle.length;
  }

  /** A kept one where there is one, else a new one. */
  take(): RelayLine {
    return this.#idle.pop() ?? this.fresh();
  }

  /** One that has served nothing yet; its connection is made with its first request. */
  fresh(): RelayLine {
    return new RelayLine(this.#config, this.#connect, (line) => this.#ended(line));
  }

  /** Its answer is whole: it may serve another. */
  give(line: RelayLine): void {
    if (this.#idle.length < this.#config.maxConnections) this.#idle.push(line);
    else line.destroy();
  }

  /** Ends those that are idle. */
  destroy(): void {
    const idle = this.#idle;
    this.#idle = [];
    for (const line of idle) line.destroy();
  }

  #ended(line: RelayLine): void {
    if (!this.#idle.includes(line)) return;
    this.#idle = this.#idle.filter((one) => one !== line);
    line.destroy();
  }
}
