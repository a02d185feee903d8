/** What others may know of standbys: by what their instances are known. */

/** Instances that wait for another one are of this stack, which nobody else can have. */
export const STANDBY = '(standby)';
