import { connect } from '../../client/index.ts';
import { formatBytes } from '../../sys/units.ts';
import { type Command, JSON_OPTION } from '../kit/command.ts';
import { print, printJson } from '../kit/output.ts';
import { age, table } from '../kit/table.ts';

export const command: Command = {
  summary: 'list kernel images',
  usage: '[OPTION]...',
  options: { json: JSON_OPTION },
  arguments: [0, 0],
  examples: [['pk image ls', 'the kernels `pk run --image` can boot']],
  async run(invocation) {
    const client = await connect();
    const images = await client.images();
    if (invocation.flag('json')) await printJson(images);
    else {
      const rows = images.map((image) => [
        image.name,
        image.kind,
        image.version,
        formatBytes(image.sizeBytes),
        image.digest.slice(0, 12),
        age(image.createdAt),
      ]);
      await print(table(['NAME', 'KIND', 'KERNEL', 'SIZE', 'DIGEST', 'AGE'], rows, ['SIZE']));
    }
    return 0;
  },
};
