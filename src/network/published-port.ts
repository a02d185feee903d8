/** `[ADDRESS:]HOST:GUEST`, as people write which port of this machine leads to which port of a kernel. */
export interface PublishedPortText {
  hostAddress?: string;
  hostPort: number;
  guestPort: number;
}

export const PUBLISH_HINT = 'Give the port here and the port there, such as 8080:80.';

/** One number stands for both. undefined for any other text; ranges are checked by whoever takes it. */
export function parsePublishedPort(text: string): PublishedPortText | undefined {
  const match = /^(?:(\d{1,3}(?:\.\d{1,3}){3}):)?(\d{1,5})(?::(\d{1,5}))?$/.exec(text);
  if (match === null) return undefined;
  const [, hostAddress, host, guest = host] = match;
  return { ...(hostAddress && { hostAddress }), hostPort: Number(host), guestPort: Number(guest) };
}
