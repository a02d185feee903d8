import { switchTo } from './switch.ts';

export const command = switchTo('on', {
  summary: 'move CPUs to where live metrics say they are needed',
  description:
    'Between kernels with bounds (`pk run --elastic-cpus`, `elastic` in a stack file), and nobody else. Goes on after a restart.',
  examples: [['pk balance on', 'see `pk balance why` for what it does']],
});
