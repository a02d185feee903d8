/** For completion and help, which load no policy. A test holds it to what there is. */
export const POLICY_NAMES = [
  'static',
  'threshold',
  'threshold-fast',
  'parties',
  'autothrottle',
  'koordinator',
  'karma',
  'max-min',
  'slo',
];
