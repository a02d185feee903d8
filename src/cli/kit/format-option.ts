import type { OptionSpec } from './command.ts';

/** Apart from what carries it out (format.ts), which most commands never need. */
export const FORMAT_OPTION: OptionSpec = {
  value: 'FORMAT',
  words: ['json', 'table'],
  help: "json, table, or a template such as '{{.Name}} {{.State}}' (docs/docker.md)",
};
