import { type Result, ok, refused } from '../core/problem.ts';

/** The environment as `process.env` has it. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** What is wrong with a `${…}` and where it begins in the text. */
export interface SubstitutionProblem {
  readonly offset: number;
  readonly message: string;
}

const reference = /\$(\$(?=\{)|\{([^}]*)(\}?))/g;
const form = /^([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?$/s;

/**
 * Puts environment variables into one scalar: `${NAME}` (refused when unset), `${NAME:-default}` (the default also for
 * an empty variable, as in a shell), `$${` for a literal `${`. What is put in stays text: it is never read as YAML, and
 * a `${` inside it is not replaced again.
 */
export function substitute(text: string, env: Environment): Result<string, readonly SubstitutionProblem[]> {
  const problems: SubstitutionProblem[] = [];
  let result = '';
  let end = 0;
  for (const found of text.matchAll(reference)) {
    const put = found[1] === '$' ? ok('$') : valueOf(found[2] ?? '', found[3] === '}', env);
    if (!put.ok) problems.push({ offset: found.index, message: put.error });
    result += text.slice(end, found.index) + (put.ok ? put.value : '');
    end = found.index + found[0].length;
  }
  return problems.length > 0 ? refused(problems) : ok(result + text.slice(end));
}

function valueOf(body: string, closed: boolean, env: Environment): Result<string, string> {
  const [, name, fallback] = (closed ? form.exec(body) : null) ?? [];
  if (name === undefined || fallback?.includes('${') === true) return refused(malformed(closed, fallback));
  const value = Object.hasOwn(env, name) ? env[name] : undefined;
  if (fallback !== undefined) return ok(value === undefined || value === '' ? fallback : value);
  if (value !== undefined) return ok(value);
  return refused(`environment variable ${name} is not set (\${${name}:-default} gives a default)`);
}

function malformed(closed: boolean, fallback: string | undefined): string {
  if (!closed) return '${ without its } (write $${ for a literal ${)';
  if (fallback !== undefined) return '${...} cannot be nested in a default';
  return 'expected ${NAME} or ${NAME:-default}, NAME made of letters, digits and _ (write $${ for a literal ${)';
}
