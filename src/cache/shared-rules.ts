import type { SearchRule } from '../core/no-vary-search.ts';

/** A rule beside its text and names, and a name beside its characters, as measured on the heap. */
const RULE_BYTES = 500;
const NAME_BYTES = 100;

interface Shared {
  readonly rule: SearchRule;
  paths: number;
}

/** Rules by their text: each is kept once, however many paths have it. */
export class SharedRules {
  readonly #byText = new Map<string, Shared>();
  #bytes = 0;

  /** About what all of them take. */
  get bytes(): number {
    return this.#bytes;
  }

  /** For one path more. Answers the one to be kept. */
  take(rule: SearchRule): SearchRule {
    const known = this.#byText.get(rule.text);
    if (known !== undefined) {
      known.paths += 1;
      return known.rule;
    }
    this.#byText.set(rule.text, { rule, paths: 1 });
    this.#bytes += bytesOf(rule);
    return rule;
  }

  /** For one path less. */
  release({ text }: SearchRule): void {
    const shared = this.#byText.get(text);
    if (shared === undefined) return;
    shared.paths -= 1;
    if (shared.paths > 0) return;
    this.#byText.delete(text);
    this.#bytes -= bytesOf(shared.rule);
  }
}

/** Its characters are there twice: in the text, and in the names. */
function bytesOf({ text, params }: SearchRule): number {
  return RULE_BYTES + 2 * text.length + NAME_BYTES * params.names.size;
}
