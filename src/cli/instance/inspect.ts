import { inspect } from '../kit/inspect.ts';
import { inspectFields } from './instance-view.ts';

export const command = inspect(
  'instance',
  ['pk inspect web', 'what was asked for and what is'],
  (client, name) => client.inspect(name),
  inspectFields,
);
