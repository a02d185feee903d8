/** What is told of the health of instances, and when. */
export const healthEvents = {
  'health-lost': 'it is unhealthy, hung or lost, by the signs that are told; one that the host starves is not',
  'health-regained': 'it is healthy again: what it was, and by which signs',
  'alert-failed': 'the program or web hook for alerts did not take one; told once until one is taken',
} as const;

export type HealthEvent = keyof typeof healthEvents;
