/** What is told of PCI functions, and when. */
export const sriovEvents = {
  'functions-changed': 'a physical function has another number of virtual ones',
  'function-leased': 'it is given to an instance',
  'function-attached': 'the kernel of an instance got it while it ran',
  'function-detached': 'the kernel of an instance let go of it while it ran',
  'function-network': 'the network of a virtual function has other settings',
  'function-split': 'an instance got a part of a device, whose other functions stay behind',
  'function-errors': 'one with virtual functions, or a leased one, reported errors that were not corrected (AER)',
  'link-degraded': 'the link of such a function is slower or narrower than it was',
  'link-restored': 'it is faster or wider again',
  'function-returned': 'nobody has it any more, and it was reset',
  'function-failed': 'it could not be reset after an instance had it, and is given to nobody',
} as const;

export type SriovEvent = keyof typeof sriovEvents;
