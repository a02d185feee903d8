/** `npm run hosts -- DIR`: writes the test fixtures' machines as DIR/NAME/{sys,proc}, to be read with `pk topology --root`. */
import { join } from 'node:path';
import { ownArguments } from '../src/sys/node.ts';
import { machines, writeHost } from '../test/fixtures/hosts/index.ts';

const [directory, ...rest] = ownArguments();
if (directory === undefined || rest.length > 0) {
  console.error('usage: npm run hosts -- DIR');
  process.exit(2);
}
for (const { name, about } of machines) {
  writeHost(name, join(directory, name));
  console.log(`${join(directory, name)}: ${about}`);
}
