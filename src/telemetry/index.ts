export { GUEST_FILES, type GuestRates, type GuestSample, guestRates, guestSample } from './guest.ts';
export { type Metric, PROMETHEUS_TYPE, prometheusText } from './prometheus.ts';
