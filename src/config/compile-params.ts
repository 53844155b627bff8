import { compileParam } from '../core/normalise.ts';
import type { ParamRule } from '../core/params.ts';
import type { Compilation } from './compilation.ts';
import { checkKind, formOf, kindOf } from './compile-kinds.ts';
import { isGiven, readable, unlessRefused } from './refused.ts';
import type { ParamInput } from './schema-params.ts';
import type { Path } from './source.ts';
import { quoted } from './units.ts';

/** The rules at a path of the file, without those of which something was refused; what contradicts itself becomes an issue. */
export function compileParams(
  compilation: Compilation,
  path: Path,
  rules: Readonly<Record<string, ParamInput>>,
): ReadonlyMap<string, ParamRule> {
  const compiled = new Map<string, ParamRule>();
  for (const name of Object.keys(rules)) {
    const input = unlessRefused(() => rules[name]);
    const rule = input && compileRule(compilation, [...path, name], { name, input });
    if (rule) compiled.set(name, rule);
  }
  checkNames(compilation, path, rules);
  return compiled;
}

function compileRule(
  compilation: Compilation,
  path: Path,
  given: { readonly name: string; readonly input: ParamInput },
): ParamRule | undefined {
  const { name, input } = given;
  checkKind(compilation, path, input);
  unlessRefused(() => {
    if (!input.required || !isGiven(() => input.default)) return;
    const message = 'a parameter with a default is never missing; keep one of the two';
    compilation.issues.add([...path, 'required'], message);
  });
  const value = unlessRefused(() => checkDefault(compilation, path, input));
  return unlessRefused(() => ({
    name,
    kind: kindOf(input),
    required: input.required,
    default: value ?? input.default,
    aliases: aliasesOf(input),
    repeat: 'repeat' in input && input.repeat,
    secret: input.secret,
  }));
}

/** The further names of a parameter, without those that were refused. */
export function aliasesOf(input: ParamInput | undefined): readonly string[] {
  const aliases = input && 'alias' in input ? input.alias : undefined;
  return readable(aliases ?? []).map(([, alias]) => alias);
}

/** The default as requests would have it. */
function checkDefault({ issues }: Compilation, path: Path, input: ParamInput): string | undefined {
  const kind = unlessRefused(() => kindOf(input)) ?? formOf(input);
  if (input.default === undefined || kind === undefined) return undefined;
  const rule = { name: path.at(-1)?.toString() ?? '', required: false, aliases: [], repeat: false };
  // Of a secret parameter the default is a secret too.
  const secret = unlessRefused(() => input.secret) ?? true;
  const prepared = compileParam({ ...rule, kind, default: input.default, secret });
  if (prepared.ok) return prepared.value.default;
  const shown = secret ? '' : `, given ${quoted(input.default)}`;
  issues.add([...path, 'default'], `${prepared.error}${shown}`);
  return undefined;
}

/** A name that two rules read would make the answer depend on which of them came first. */
function checkNames(compilation: Compilation, path: Path, rules: Readonly<Record<string, ParamInput>>): void {
  const owners = new Map<string, string>(Object.keys(rules).map((name) => [name, name]));
  for (const name of Object.keys(rules)) {
    for (const alias of unlessRefused(() => aliasesOf(rules[name])) ?? []) {
      const owner = owners.get(alias);
      if (owner !== undefined) {
        const message = `${quoted(alias)} already names the parameter ${quoted(owner)}`;
        compilation.issues.add([...path, name, 'alias'], message);
      }
      owners.set(alias, name);
    }
  }
}
