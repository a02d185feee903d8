/** `npm run hosts -- DIR`: writes the test fixtures' machines as DIR/NAME/{sys,proc}, to be read with `pk topology --root`. */
import { join } from 'node:path';
import { machines, writeHost } from '../test/fixtures/hosts/index.ts';

const [directory, ...rest] = process.argv.slice(2);
if (directory === undefined || rest.length > 0) {
  console.error('usage: npm run hosts -- DIR');
  process.exit(2);
}
for (const { name, about } of machines) {
  writeHost(name, join(directory, name));
  console.log(`${join(directory, name)}: ${about}`);
}
