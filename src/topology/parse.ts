/** Reads a machine from JSON that somebody else wrote, and refuses one that cannot be. */
import type { Schema } from '../core/validate.ts';
import { validate } from '../core/validate.ts';
import { PolykernelError } from '../sys/errors.ts';
import { contradiction } from './invariants.ts';
import { topology } from './schema.ts';
import type { Topology } from './topology.ts';

const HINT = 'Give what `pk topology --json` printed, unchanged.';

/** What is printed, and nothing else. */
const printed = closed({ ...topology, properties: { ...topology.properties, summary: {} } });

/**
 * A topology from JSON that `pk topology --json` printed; its `summary`, which can be computed again, is not looked at.
 * Throws `invalid` naming the field: of the wrong type or range, missing, unknown, or contradicting another one.
 */
export function parseTopology(json: unknown): Topology {
  const { summary: _, ...parsed } = formed(json);
  const problem = contradiction(parsed);
  if (problem === undefined) return parsed;
  const { field, value, reason } = problem;
  const shown = JSON.stringify(value);
  const text = shown.length > 60 ? `${shown.slice(0, 60)}…` : shown;
  throw new PolykernelError('invalid', `${field}: ${text} ${reason}`, { field, value, hint: HINT });
}

function formed(json: unknown): Topology & { summary?: unknown } {
  try {
    return validate(printed, json, { name: 'topology' }) as Topology;
  } catch (error) {
    if (!(error instanceof PolykernelError)) throw error;
    const { code, message, field = 'topology', value } = error;
    throw new PolykernelError(code, message, { field, value, hint: HINT });
  }
}

/** The same without any further field. */
function closed({ properties, items, ...schema }: Schema): Schema {
  return {
    ...schema,
    ...(items && { items: closed(items) }),
    ...(properties && {
      additionalProperties: false,
      properties: Object.fromEntries(Object.entries(properties).map(([name, each]) => [name, closed(each)])),
    }),
  };
}
