/** What a simulator can be told to do wrong. `undefined` members: as usual. */
export interface SimulatorFault {
  /** Wait for this long, instead of the time that follows from the question. */
  readonly latencyMs?: number | undefined;
  /** Answer with this status and the API's own kind of error body. */
  readonly status?: number | undefined;
  /** Reset every connection instead of answering. */
  readonly down?: boolean | undefined;
}

/** What a call of `/_control` asks for. */
export type SimulatorCommand = { readonly kind: 'reset' } | { readonly kind: 'fault'; readonly fault: SimulatorFault };

const longestMs = 600_000;

/** Reads `{latencyMs?, status?, down?}` or `{reset: true}`; `undefined` for anything else. */
export function parseControl(text: string): SimulatorCommand | undefined {
  const members = membersOf(text);
  if (members === undefined) return undefined;
  if (members.size === 1 && members.get('reset') === true) return { kind: 'reset' };
  const fault: { latencyMs?: number; status?: number; down?: boolean } = {};
  for (const [name, value] of members) {
    if (name === 'latencyMs' && isWithin(value, 0, longestMs)) fault.latencyMs = value;
    else if (name === 'status' && isWithin(value, 400, 599)) fault.status = value;
    else if (name === 'down' && typeof value === 'boolean') fault.down = value;
    else return undefined;
  }
  return { kind: 'fault', fault };
}

function membersOf(text: string): ReadonlyMap<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
    return new Map<string, unknown>(Object.entries(value));
  } catch {
    return undefined;
  }
}

function isWithin(value: unknown, min: number, max: number): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max;
}
