export { METRICS_CONTENT_TYPE } from './api.ts';
export { Downsampler, type Point, resample, seriesOf } from './downsample.ts';
export { GUEST_FILES, GUEST_FILES_WITH_PSI, GuestReader } from './guest.ts';
export { busyOf, guestRates, hostRates } from './rates.ts';
export { SampleRing } from './ring.ts';
export { METRIC_NAMES, METRICS, rowOf } from './series.ts';
export type * from './types.ts';
