/** What is stated of a field (fields.ts). */
import type { Schema } from '../core/validate.ts';

/** What a value is: how it is written in a terminal and in a stack file follows from that. */
export type Kind = 'flag' | 'text' | 'word' | 'duration' | 'count' | 'labels' | 'texts' | 'path';

export interface FieldRow {
  kind: Kind;
  /** For a `word`: which there are. */
  words?: readonly string[];
  /** What the request's schema says beyond the kind. */
  schema: Schema;
  /** In the spec where the request says nothing; without it resolve.ts decides. */
  default?: boolean | string | number | null | Readonly<Record<string, string>> | readonly string[];
  /** The option of `pk run`. */
  cli: {
    option: string;
    short?: string;
    value?: string;
    multiple?: boolean;
    words?: readonly string[];
    complete?: 'image' | 'file';
    help: string;
  };
  /** The key of a kernel in a stack file: what may stand there and the default, for people; `live`: a change needs no restart. */
  stack: { key: string; type: string; default: string; live: boolean; description: string; schema?: Schema };
}
