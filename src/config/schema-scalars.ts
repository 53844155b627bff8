import * as v from 'valibot';
import { type Result, ok, refused } from '../core/problem.ts';
import { type Bounds, formatDuration, formatSize, parseDuration, parseSize, quoted } from './units.ts';

/** What an editor accepts beside the value itself, since variables are put in before the schema reads the file. */
const variable = '\\$\\{';

/** Whether an option is one in whose place a secret may have been written, which no message shows. */
export type Shown = 'shown' | 'secret';

/** In words, for messages. */
export function given(input: unknown, shown: Shown = 'shown'): string {
  if (input === undefined || input === null) return 'nothing';
  if (Array.isArray(input)) return 'a list';
  if (typeof input !== 'string') return 'a map';
  return shown === 'shown' ? quoted(input) : 'text';
}

interface ScalarOptions<T> {
  /** Completes "expected …". */
  readonly what: string;
  readonly parse: (text: string) => Result<T, string>;
  /** JSON Schema keywords for editors. `x-type` is what the documentation calls it. */
  readonly json: Readonly<Record<string, unknown>>;
}

/** A scalar of the file (always text here), parsed. */
export function scalar<T>(options: ScalarOptions<T>) {
  return v.pipe(
    v.string((issue) => `expected ${options.what}, given ${given(issue.input)}`),
    v.metadata(options.json),
    v.rawTransform(({ dataset, addIssue, NEVER }) => {
      const parsed = options.parse(dataset.value);
      if (parsed.ok) return parsed.value;
      addIssue({ message: parsed.error });
      return NEVER;
    }),
  );
}

/** A duration in milliseconds. */
export function duration(bounds: Bounds) {
  return scalar({
    what: 'a duration such as 30s or 1h',
    parse: (written) => parseDuration(written, bounds),
    json: {
      type: ['string', 'integer'],
      pattern: `^(0|[0-9]+(ms|s|m|h|d))$|${variable}`,
      maximum: 0,
      minimum: 0,
      'x-type': `duration, ${formatDuration(bounds.min)} to ${formatDuration(bounds.max)}`,
    },
  });
}

/** A size in bytes. */
export function size(bounds: Bounds) {
  return scalar({
    what: 'a size such as 64KiB or 256MiB',
    parse: (written) => parseSize(written, bounds),
    json: {
      type: ['string', 'integer'],
      pattern: `^[0-9]+(B|KiB|MiB|GiB)?$|${variable}`,
      minimum: bounds.min,
      maximum: bounds.max,
      'x-type': `size, ${formatSize(bounds.min)} to ${formatSize(bounds.max)}`,
    },
  });
}

/** A number between bounds; `whole` numbers only where it says so. */
export function numeric(bounds: Bounds & { readonly whole: boolean }) {
  const noun = bounds.whole ? 'whole number' : 'number';
  const limited = bounds.max < Number.MAX_SAFE_INTEGER;
  const shape = bounds.whole ? /^-?\d{1,15}$/ : /^-?\d{1,15}(?:\.\d{1,15})?$/;
  return scalar({
    what: `a ${noun}`,
    parse: (written) => {
      const value = Number(written);
      if (!shape.test(written)) return refused(`expected a ${noun}, given ${quoted(written)}`);
      if (value < bounds.min) return refused(`is at least ${bounds.min}, given ${written}`);
      if (value > bounds.max) return refused(`is at most ${bounds.max}, given ${written}`);
      return ok(value);
    },
    json: {
      type: [bounds.whole ? 'integer' : 'number', 'string'],
      minimum: bounds.min,
      maximum: bounds.max,
      pattern: `^-?[0-9]+(\\.[0-9]+)?$|${variable}`,
      'x-type': limited ? `${noun}, ${bounds.min} to ${bounds.max}` : noun,
    },
  });
}

/** `true` or `false`. */
export function flag() {
  return scalar({
    what: 'true or false',
    parse: (written) => {
      if (written === 'true') return ok(true);
      return written === 'false' ? ok(false) : refused(`expected true or false, given ${quoted(written)}`);
    },
    json: { type: ['boolean', 'string'], pattern: `^(true|false)$|${variable}`, 'x-type': 'true or false' },
  });
}

/** Text of 1 to 8192 characters (of 0 where `empty` says so), checked by `check`, which answers a sentence or nothing. */
export function text(
  options: {
    readonly what?: string;
    readonly empty?: boolean;
    readonly check?: (value: string) => string | undefined;
    readonly json?: Readonly<Record<string, unknown>>;
  } = {},
) {
  const what = options.what ?? 'text';
  return scalar<string>({
    what,
    parse: (value) => {
      if (value === '' && options.empty !== true) return refused(`expected ${what}, given empty text`);
      if (value.length > 8192) return refused('is longer than 8192 characters');
      const problem = options.check?.(value);
      return problem === undefined ? ok(value) : refused(problem);
    },
    json: { type: ['string', 'number', 'boolean'], 'x-type': what, ...options.json },
  });
}

/** Text that no message ever shows. */
export function secretText() {
  return v.pipe(
    v.string('expected text'),
    v.metadata({ type: ['string', 'number'], 'x-type': 'text, secret' }),
    v.rawTransform<string, string>(({ dataset, addIssue, NEVER }) => {
      if (dataset.value.length <= 8192) return dataset.value;
      addIssue({ message: 'is longer than 8192 characters' });
      return NEVER;
    }),
  );
}
