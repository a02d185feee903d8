import { formatBytes } from '../../sys/units.ts';
import { list } from '../kit/list.ts';
import { age } from '../kit/table.ts';

export const command = list(
  {
    summary: 'list kernel images',
    examples: [['pk image ls', 'the kernels `pk run --image` can boot']],
  },
  (client) => client.images(),
  {
    name: ({ name }) => name,
    columns: [
      ['NAME', ({ name }) => name],
      ['KIND', ({ kind }) => kind],
      ['KERNEL', ({ version }) => version],
      ['SIZE', ({ sizeBytes }) => formatBytes(sizeBytes), 'right'],
      ['DIGEST', ({ digest }, whole) => (whole ? digest : digest.slice(0, 12))],
      ['AGE', ({ createdAt }) => age(createdAt)],
    ],
    fields: ({ name, kind, version, sizeBytes, digest, createdAt }, whole) => ({
      Name: name,
      Repository: name.split(':')[0],
      Tag: name.split(':')[1] ?? 'latest',
      ID: whole ? digest : digest.slice(0, 12),
      Digest: digest,
      Kind: kind,
      Kernel: version,
      Size: formatBytes(sizeBytes),
      CreatedAt: createdAt,
      CreatedSince: `${age(createdAt)} ago`,
    }),
    filters: {
      reference: ({ name }, value) => name === value || name.split(':')[0] === value,
      kind: ({ kind }, value) => kind === value,
    },
  },
);
