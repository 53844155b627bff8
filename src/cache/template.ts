import { printable } from '../core/printable.ts';
import { ok, refused, type Result } from '../core/problem.ts';

/** What the placeholders of a warming job stand for. */
export interface TemplateValues {
  /** For `{location}`; `undefined` where the job runs without one. */
  readonly location: string | undefined;
  readonly nowMs: number;
  /** IANA zone whose calendar gives `{today}`. */
  readonly zone: string;
}

const placeholder = /\{([^{}]*)\}/gu;
/** Four digits reach past any forecast or archive, and keep dates within four-digit years. */
const today = /^today(?:([+-]\d{1,4})d)?$/u;
const dayMs = 86_400_000;

/** `{location}`, `{today}`, `{today+7d}` and `{today-1d}` replaced; the error is a sentence naming the bad placeholder. */
export function expandTemplate(template: string, values: TemplateValues): Result<string, string> {
  let issue: string | undefined;
  const text = template.replaceAll(placeholder, (whole, name: string) => {
    if (name === 'location' && values.location !== undefined) return values.location;
    const match = today.exec(name);
    if (match !== null) return dateIn(values.zone, values.nowMs, Number(match[1] ?? 0));
    issue ??= name === 'location' ? 'there is no location for {location}' : unknown(name);
    return whole;
  });
  return issue === undefined ? ok(text) : refused(issue);
}

/** True where a value needs a location, so that the job runs once for each. */
export function usesLocation(templates: Iterable<string>): boolean {
  for (const template of templates) if (template.includes('{location}')) return true;
  return false;
}

function unknown(name: string): string {
  return `{${printable(name)}} is not a placeholder; {location}, {today}, {today+7d} and {today-1d} are`;
}

/** The calendar date in the zone, so many days on, as YYYY-MM-DD. */
function dateIn(zone: string, nowMs: number, days: number): string {
  const parts = new Intl.DateTimeFormat('en-u-ca-gregory-nu-latn', {
    timeZone: zone,
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
  }).formatToParts(nowMs);
  const part = (type: string): number => Number(parts.find((found) => found.type === type)?.value);
  // Days are added to the date, not to the instant: a day on which clocks change has not 24 hours.
  const midnightMs = Date.UTC(part('year'), part('month') - 1, part('day'));
  return new Date(midnightMs + days * dayMs).toISOString().slice(0, 10);
}
