import { connect } from '../../client/index.ts';
import { driverWords, TEMPLATE_DRIVER } from '../../driver/registry.ts';
import { parseBytes } from '../../sys/units.ts';
import type { Command } from '../kit/command.ts';
import { withProgress } from '../kit/long-work.ts';
import { print } from '../kit/output.ts';

export const command: Command = {
  summary: 'build the template that makes starts fast',
  usage: '[OPTION]... [IMAGE]',
  options: {
    driver: { value: 'DRIVER', choices: driverWords, help: `default ${TEMPLATE_DRIVER}` },
    cpus: { value: 'N', help: 'CPUs of the instances to come (default 1)' },
    memory: { short: 'm', value: 'SIZE', help: 'their memory' },
  },
  arguments: [0, 1],
  complete: 'image',
  examples: [
    ['pk image prewarm --cpus 2 --memory 512M', 'before the first `pk run --driver qemu --cpus 2 --memory 512M`'],
  ],
  async run(invocation) {
    const cpus = invocation.integer('cpus', 1);
    const memory = invocation.value('memory');
    const name = invocation.positionals[0];
    const request = {
      driver: invocation.value('driver') ?? TEMPLATE_DRIVER,
      ...(name === undefined ? {} : { name }),
      ...(cpus === undefined ? {} : { cpus }),
      ...(memory === undefined ? {} : { memoryBytes: parseBytes(memory, '--memory') }),
    };
    const client = await connect();
    const done = await withProgress((say) => client.prewarm(request, say));
    await print(`${done.image} is warm for ${done.driver}\n`);
    return 0;
  },
};
