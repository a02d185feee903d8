import { switchTo } from './switch.ts';

export const command = switchTo('observe', {
  summary: 'decide, and carry nothing out',
  examples: [['pk balance observe', 'then `pk balance why`: what it would do']],
});
