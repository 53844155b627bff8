/** A place in the file, both from 1; the column counts UTF-16 units. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/** Keys and list positions from the root of the file to a value. */
export type Path = readonly (string | number)[];

/** A value of the file with its place. Scalars stay text: the schema alone gives them types. */
export type SourceNode =
  | { readonly kind: 'text'; readonly text: string; readonly at: Position }
  /** An empty value, `~` or `null`. */
  | { readonly kind: 'nothing'; readonly at: Position }
  /** Already reported (an unset variable, say): whatever else is said about it would only confuse. */
  | { readonly kind: 'broken'; readonly at: Position }
  | { readonly kind: 'list'; readonly items: readonly SourceNode[]; readonly at: Position }
  | {
      readonly kind: 'map';
      readonly entries: ReadonlyMap<string, SourceEntry>;
      /** A key of it was refused: what seems to be left out may be what that stood for. */
      readonly isPartial: boolean;
      readonly at: Position;
    };

export interface SourceEntry {
  readonly keyAt: Position;
  readonly value: SourceNode;
}

/** The value as the schema reads it: text, `null`, arrays, and objects without a prototype. */
export function toPlain(node: SourceNode): unknown {
  switch (node.kind) {
    case 'text':
      return node.text;
    case 'nothing':
    case 'broken':
      return null;
    case 'list':
      return node.items.map(toPlain);
    case 'map': {
      const plain: Record<string, unknown> = Object.create(null);
      for (const [key, entry] of node.entries) plain[key] = toPlain(entry.value);
      return plain;
    }
  }
}

/** The value at a path; `undefined` where the file has none. */
export function nodeAt(root: SourceNode, path: Path): SourceNode | undefined {
  let node: SourceNode | undefined = root;
  for (const step of path) node = node && childOf(node, step)?.value;
  return node;
}

/** True where the file gives a value at this path: an empty one says nothing. */
export function isWritten(root: SourceNode, path: Path): boolean {
  const node = nodeAt(root, path);
  return node !== undefined && node.kind !== 'nothing';
}

/** The text at a path; `undefined` where there is none or something else. */
export function textAt(root: SourceNode, path: Path): string | undefined {
  const node = nodeAt(root, path);
  return node?.kind === 'text' ? node.text : undefined;
}

/** Where to point for an issue at a path: the deepest part of it that the file has, its key where `wants` says so. */
export function positionOf(root: SourceNode, path: Path, wants: 'key' | 'value'): Position {
  let node = root;
  let at = root.at;
  for (const [index, step] of path.entries()) {
    const child = childOf(node, step);
    if (!child) break;
    at = wants === 'key' && index === path.length - 1 ? child.keyAt : child.value.at;
    node = child.value;
  }
  return at;
}

/** True where the path ends at, or passes through, a value that was already reported, or that a refused key may stand for. */
export function isBroken(root: SourceNode, path: Path): boolean {
  let node: SourceNode | undefined = root;
  for (const step of path) {
    const child: SourceNode | undefined = node && childOf(node, step)?.value;
    if (child?.kind === 'broken') return true;
    if (child === undefined && node?.kind === 'map' && node.isPartial) return true;
    node = child;
  }
  return root.kind === 'broken';
}

function childOf(node: SourceNode, step: string | number): SourceEntry | undefined {
  if (node.kind === 'map') return node.entries.get(String(step));
  const item = node.kind === 'list' ? node.items[Number(step)] : undefined;
  return item && { keyAt: item.at, value: item };
}

/** `routes[0].query.days`, with brackets and quotes round keys that are no plain words. */
export function formatPath(path: Path): string {
  if (path.length === 0) return '(file)';
  let text = '';
  for (const step of path) {
    if (typeof step === 'number') text += `[${step}]`;
    else if (/^[A-Za-z_][\w-]*$/.test(step)) text += text === '' ? step : `.${step}`;
    else text += `[${JSON.stringify(step)}]`;
  }
  return text;
}
