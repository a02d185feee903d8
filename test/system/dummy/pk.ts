/** `pk` with the dummy among its words, as a line in the registry would put it there. */
import { admitDriver } from '../../../src/driver/registry.ts';

admitDriver('dummy');
await import('../../../src/cli/main.ts');
