/** Addresses of the private network, which is 10.213.0.0/16 in a namespace of its own: outside it nobody sees them. */
export const NETMASK = '255.255.0.0';
const PREFIX = 16;
/** What its members are numbered by: the bridge, and the last that there can be. */
export const BRIDGE_NUMBER = 1;
export const LAST_NUMBER = 65_533;

/** Of the member with that number. */
export const addressOf = (number: number): string => `10.213.${number >> 8}.${number & 255}`;

/** Of the bridge, with the length of the prefix. */
export const GATEWAY = `${addressOf(BRIDGE_NUMBER)}/${PREFIX}`;
