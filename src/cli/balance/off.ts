import { switchTo } from './switch.ts';

export const command = switchTo('off', {
  summary: 'decide nothing; kernels keep the sizes they have',
  examples: [['pk balance off', 'nothing moves from now on']],
});
