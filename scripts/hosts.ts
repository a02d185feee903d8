/** `npm run hosts -- DIR`: writes the test fixtures' machines as DIR/NAME/{sys,proc}, to be read with `pk topology --root`. */
import { join } from 'node:path';
import { machines, writeHost } from '../test/fixtures/hosts/index.ts';
import { argumentsOrHelp } from './usage.ts';

const USAGE = 'usage: npm run hosts -- DIR';
const [directory, ...rest] = argumentsOrHelp(USAGE);
if (directory === undefined || directory.startsWith('-') || rest.length > 0) {
  console.error(USAGE);
  process.exit(2);
}
for (const { name, about } of machines) {
  writeHost(name, join(directory, name));
  console.log(`${join(directory, name)}: ${about}`);
}
