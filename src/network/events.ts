/** What is told of the private network, and when. */
export const networkEvents = {
  'network-lost': 'what kept the network ended, and an instance is in none until it restarts',
} as const;
