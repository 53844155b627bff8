/**
 * The rule of one query (or path) parameter. A parameter is read from the request under `name` or one of `aliases`,
 * and leaves for upstream under `name`.
 */
export interface ParamRule {
  readonly name: string;
  readonly kind: ParamKind;
  readonly required: boolean;
  /** Canonical value that stands in where the request has none; forwarded and keyed like a given one. */
  readonly default: string | undefined;
  readonly aliases: readonly string[];
  /** `name=a&name=b` means the same as `name=a,b`. Only for `set`, `list` and `point`. */
  readonly repeat: boolean;
  /** The value enters the key as a digest and is never shown; it is forwarded as it is. */
  readonly secret: boolean;
}

export type ParamKind =
  | { readonly type: 'text'; readonly fold: boolean }
  | { readonly type: 'integer'; readonly min: number | undefined; readonly max: number | undefined }
  | DecimalKind
  | { readonly type: 'date' }
  /**
   * `floorMs`: instants are rounded down to a multiple of this step since the Unix epoch; `ceilMs`: up, for ends, which
   * must not lose time. At most one of them; with neither instants stay as they are.
   */
  | { readonly type: 'datetime'; readonly floorMs?: number | undefined; readonly ceilMs?: number | undefined }
  /** `words`: how true and false are written for upstream, the first for true; `undefined` for `true` and `false`. */
  | { readonly type: 'boolean'; readonly words?: readonly [whenTrue: string, whenFalse: string] | undefined }
  | { readonly type: 'enum'; readonly values: readonly string[]; readonly fold: boolean }
  /** Comma list. `set`: order and repetition carry no meaning; `list`: they do. */
  | { readonly type: 'set' | 'list'; readonly fold: boolean }
  /** Two decimals in one value, `lat,lon`. */
  | { readonly type: 'point'; readonly lat: DecimalKind; readonly lon: DecimalKind };

export interface DecimalKind {
  readonly type: 'decimal';
  /** Digits after the point that are kept; `undefined` keeps all that were given. Rounding is half away from zero. */
  readonly places: number | undefined;
  readonly min: number | undefined;
  readonly max: number | undefined;
}
