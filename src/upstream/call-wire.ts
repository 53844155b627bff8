import type { NamedFailure } from './failure.ts';

/** What is sent: path and query, and names and values of the fields by turns. */
export interface CallRequest {
  readonly path: string;
  readonly method: string;
  readonly headers: string[];
  readonly body: Uint8Array | null;
}

/** What a call needs of its connection; undici's controller has it. */
export interface ConnectionControl {
  readonly rawHeaders?: unknown;
  pause(): void;
  resume(): void;
  abort(reason: Error): void;
}

/** The connection that takes a call, as far as its past and its end are concerned. */
export interface CallWire {
  /** Whether it has served another before. Asked once for each request, when that is written. */
  takesReused(): boolean;
  /** Whether it ended by an error. */
  readonly broken: boolean;
  /** How content that ends with it was cut; `undefined`: it is all there. */
  readonly cut: NamedFailure | undefined;
  /** Whether it has served others and ended by an error, and none was made in its place yet. */
  readonly keptBroke: boolean;
}
