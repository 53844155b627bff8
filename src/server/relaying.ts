import type { ServerResponse } from 'node:http';

import type { RelayDecision } from '../cache/handled.ts';
import { problemReply } from '../cache/problem-reply.ts';
import type { RelayPlan } from '../cache/relay-types.ts';
import { appendCacheStatus, withDetail } from '../core/cache-status.ts';
import { withoutFields } from '../core/fields.ts';
import { InterimLink, tellToGoOn } from './interim.ts';
import type { Recorder, Transit } from './recorder.ts';
import type { Relay } from './relay-port.ts';
import { requestTimeout } from './request-timeout.ts';
import type { Sender } from './sender.ts';
import type { UpgradeAttempt } from './upgrade-attempt.ts';
import { limitSending, writeResponse } from './write-response.ts';

/** What {@link Relaying} needs. */
export interface RelayingOptions {
  readonly relay: Relay;
  readonly recorder: Recorder;
  readonly sender: Sender;
  /** Bytes of request content, at most. */
  readonly maxBodyBytes: number;
  readonly onBug: (error: unknown) => void;
}

/** A relayed request whose content may still be on its way. */
interface Waiting {
  readonly transit: Transit;
  readonly res: ServerResponse;
  readonly relay: RelayDecision;
}

/** Hands requests to the relay; records them and their calls. */
export class Relaying {
  readonly #options: RelayingOptions;
  readonly #waiting = new WeakMap<object, Waiting>();

  constructor(options: RelayingOptions) {
    this.#options = options;
  }

  /** Resolves when the response is closed. */
  async web(transit: Transit, res: ServerResponse, relay: RelayDecision): Promise<void> {
    const { sender, recorder } = this.#options;
    const { socket } = transit.req;
    if (sender.closes(transit)) res.setHeader('connection', 'close');
    this.#waiting.set(socket, { transit, res, relay });
    // Content that is declared larger is refused without it.
    if (!(Number(transit.req.headers['content-length']) > this.#options.maxBodyBytes)) tellToGoOn(res);
    const link = new InterimLink(res);
    const onInterim: RelayPlan['onInterim'] = (status, fields) => link.interim(status, fields);
    const plan = { ...this.#plan(transit, relay, res), onInterim, onUnsent: () => limitSending(res, sender.limit()) };
    const result = await this.#options.relay.web(transit.req, res, plan);
    if (this.#waiting.get(socket)?.res === res) this.#waiting.delete(socket);
    recorder.relayed(transit, relay, result);
  }

  /** Resolves when both connections are closed. */
  async upgrade(transit: Transit, { req, socket, head }: UpgradeAttempt, relay: RelayDecision): Promise<void> {
    const { sender, recorder } = this.#options;
    const onUnsent = (res: ServerResponse): void => limitSending(res, sender.limit());
    const plan = this.#plan(transit, relay);
    const result = await this.#options.relay.upgrade({ req, socket, head, plan, onUnsent });
    recorder.relayed(transit, relay, result);
  }

  /**
   * The rest of a request has not come in time. Answers it where its relay has not begun to; false: nothing can be
   * said any more.
   */
  timedOut(socket: object): boolean {
    const waiting = this.#waiting.get(socket);
    if (waiting === undefined || waiting.res.headersSent || waiting.res.socket !== socket) return false;
    const { transit, res, relay } = waiting;
    transit.refusal = requestTimeout;
    const meta = { route: relay.route.name, upstream: relay.route.upstream, url: relay.url };
    const answer = problemReply(requestTimeout, { meta, cacheStatus: undefined, head: transit.req.method === 'HEAD' });
    const fields = appendCacheStatus(
      withoutFields(answer.fields, cacheStatusOnly),
      withDetail(relay.cacheStatus, requestTimeout.code),
    );
    writeResponse(res, { ...answer, fields }, { ...this.#options.sender.limit(), close: true });
    return true;
  }

  /** @param res absent for a switch of protocols, after which there is no connection to tell of */
  #plan(transit: Transit, relay: RelayDecision, res?: ServerResponse): RelayPlan {
    const { recorder, sender, maxBodyBytes, onBug } = this.#options;
    return {
      upstream: relay.route.upstream,
      target: relay.target,
      route: relay.route,
      mark: relay.mark,
      cacheStatus: relay.cacheStatus,
      maxBodyBytes,
      content: relay.content,
      onHead: (head, attempts) => {
        // The relay calls from its streams, where nobody would catch an error.
        try {
          // A drain may have begun while upstream was waited for.
          if (res?.headersSent === false && sender.closes(transit)) res.setHeader('connection', 'close');
          recorder.answered(transit, relay, { status: head.status, attempts });
          // Now and not when the content has ended: what is stored is invalid as of upstream's answer (RFC 9111 §4.4).
          return relay.settled(head);
        } catch (error) {
          onBug(error);
          return { ready: undefined, tap: undefined };
        }
      },
    };
  }
}

/** The reply's own member is of a request that nothing is known of. */
const cacheStatusOnly: ReadonlySet<string> = new Set(['cache-status']);
