/** What there is, written down so that it can be made again: see dump-text.ts and dump-dts.ts. */
import { connect } from '../../client/index.ts';
import { checkName } from '../../core/name.ts';
import type { PolykernelError } from '../../sys/errors.ts';
import type { Command } from '../kit/command.ts';
import { print } from '../kit/output.ts';

export const command: Command = {
  summary: 'the pool and the instances as a stack file, for `pk apply`',
  usage: '[OPTION]... [NAME]',
  description:
    'What is owned is named exactly. The values of environments are in it: keep it as you keep these. With --dts the device tree by\n' +
    'which a kernel with the multikernel patches would be given that pool, or, with a NAME, would be made to have that instance.',
  options: {
    dts: { help: 'device-tree source, CPUs by their APIC ids' },
    stack: { value: 'NAME', help: 'name of the stack (default dump)' },
  },
  arguments: [0, 1],
  complete: 'instance',
  examples: [
    ['pk pool dump > machine.yaml', 'then, elsewhere or later: pk apply --input machine.yaml'],
    ['pk pool dump --dts > pool.dts', 'the pool for a kernel that is parted itself; see pk dt'],
  ],
  async run(invocation) {
    const stack = checkName(invocation.value('stack') ?? 'dump', '--stack');
    const client = await connect();
    const [name] = invocation.positionals;
    if (invocation.flag('dts')) {
      const { instanceDts, poolDts } = await import('./dump-dts.ts');
      if (name !== undefined) await client.inspect(name);
      const report = await client.pool();
      await print(name === undefined ? poolDts(report, await client.topology()) : instanceDts(report, name));
      return 0;
    }
    const { stackText } = await import('./dump-text.ts');
    const pool = await client.pool().catch((error: PolykernelError) => {
      if (error.code !== 'not-found') throw error;
      return undefined;
    });
    const names = name === undefined ? (await client.list()).map(({ spec }) => spec.name) : [name];
    const instances = await Promise.all(names.map((each) => client.inspect(each)));
    await print(stackText(stack, name === undefined ? pool?.pool : undefined, instances));
    return 0;
  },
};
