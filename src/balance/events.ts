/** What is told of balancing, and when. */
export const balanceEvents = {
  'balance-moved': 'CPUs or memory changed hands, or requests go elsewhere: what, from whom to whom, and why',
  'balance-undone': 'a move was taken back, for latency got worse after it',
  'balance-failed': 'a move could not be done; all is as it was',
  'balance-suspended': 'too many moves had to be taken back: it only observes until it is switched on again',
} as const;

export type BalanceEvent = keyof typeof balanceEvents;
