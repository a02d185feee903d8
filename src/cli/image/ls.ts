import { formatBytes } from '../../sys/units.ts';
import { list } from '../kit/list.ts';
import { age } from '../kit/table.ts';

export const command = list(
  {
    summary: 'list kernel images',
    examples: [['pk image ls', 'the kernels `pk run --image` can boot']],
  },
  (client) => client.images(),
  [
    ['NAME', ({ name }) => name],
    ['KIND', ({ kind }) => kind],
    ['KERNEL', ({ version }) => version],
    ['SIZE', ({ sizeBytes }) => formatBytes(sizeBytes), 'right'],
    ['DIGEST', ({ digest }) => digest.slice(0, 12)],
    ['AGE', ({ createdAt }) => age(createdAt)],
  ],
);
