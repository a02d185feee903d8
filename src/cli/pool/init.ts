import { change } from './change.ts';

export const command = change(
  {
    summary: 'give CPUs, memory and devices up for instances',
    description:
      "What is not in the pool stays the host kernel's: the housekeeping CPUs run everything that owns none.",
    examples: [
      ['pk pool init --cpus 2-15 --memory 24G', 'CPUs 2 to 15; memory from the nodes of these CPUs'],
      ['pk pool init --cpus 2-15 --shared 14-15', 'instances may share CPUs 14 and 15 by fractions'],
    ],
  },
  (client, request) => client.initPool(request),
);
