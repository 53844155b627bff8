/** What the data listeners have on their hands now; the server writes it, metrics read it. */
export interface ServerLoad {
  /** Requests whose response has not ended, upgraded connections among them. */
  requestsInFlight: number;
  connections: number;
  /** Requests that the fast lane has answered so far. */
  fastLane: number;
  /** Of them, those whose target had not been parsed before, or not of late. */
  newTargets: number;
  /** Of them, those whose answer took time: misses, hits from Redis. */
  waits: number;
}

export function idleLoad(): ServerLoad {
  return { requestsInFlight: 0, connections: 0, fastLane: 0, newTargets: 0, waits: 0 };
}
