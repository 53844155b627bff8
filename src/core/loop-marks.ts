import { fieldLineValues, type FieldLines } from './fields.ts';
import type { ProxyRequest } from './request.ts';
import { special, specialOf } from './special-fields.ts';

/** RFC 8586: who has sent a request upstream. Via says it too, but is left out, joined and rewritten on the way (decision 37). */
export const CDN_LOOP = 'cdn-loop';

/** As {@link LoopMarks.own} writes it. Whatever else a client writes is nobody's mark, and goes no further on cached routes. */
const ofOurKind = /^\s*(forecache;id=[\w-]{12}\.\d{1,5})\s*$/;

/** No more go upstream whatever `maxHops` says: what a client makes up there takes less than servers refuse a request for. */
const MOST_MARKS = 100;

/** What calls are marked by, so that one that comes back is known. */
export interface LoopMarks {
  /** The mark of a route of this process, and of no other. */
  own(route: string): string;
  /** The value of CDN-Loop for a call of the route: the marks of those that the request has passed, then its own. */
  sent(route: string, fields: FieldLines): string;
  /** Whether the request is one that the route has sent upstream itself, or has passed more of our kind than any chain has. */
  isLoop(route: string, request: Pick<ProxyRequest, 'fields' | 'special'>): boolean;
}

interface LoopMarksOptions {
  /** Twelve letters, digits, `-` and `_` that nobody can foresee, the same in all threads of the process. */
  readonly processMark: string;
  readonly routes: readonly { readonly name: string }[];
  /** `server.limits.maxHops`. */
  readonly maxHops: number;
}

export function createLoopMarks({ processMark, routes, maxHops }: LoopMarksOptions): LoopMarks {
  // The number of the route and not its name, which is nobody's business upstream.
  const marks = new Map(routes.map(({ name }, index) => [name, `forecache;id=${processMark}.${index}`]));
  const own = (route: string): string => {
    const mark = marks.get(route);
    if (mark === undefined) throw new Error(`no route is named ${route}`);
    return mark;
  };
  return {
    own,
    sent: (route, fields) => {
      const passed = marksOf(fields);
      return passed.length === 0 ? own(route) : [...passed, own(route)].join(', ');
    },
    isLoop: (route, { fields, special: known }) => {
      if (((known ?? specialOf(fields)) & special.cdnLoop) === 0) return false;
      const passed = marksOf(fields);
      return passed.length > Math.min(maxHops, MOST_MARKS) || passed.includes(own(route));
    },
  };
}

/** Whether the request says that it has passed one of our kind. What an upstream answers to that may be about the request alone. */
export function hasMarks(fields: FieldLines): boolean {
  return marksOf(fields).length > 0;
}

function marksOf(fields: FieldLines): readonly string[] {
  const lines = fieldLineValues(fields, CDN_LOOP);
  if (lines.length === 0) return lines;
  return lines.flatMap((line) => line.split(',')).flatMap((member) => ofOurKind.exec(member)?.[1] ?? []);
}
