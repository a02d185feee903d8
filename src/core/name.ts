/** Names that people give: what is allowed. */
import { PolykernelError } from '../sys/errors.ts';

/** A DNS label (RFC 1123), so that a name can be a host name; for schemas. */
export const NAME_PATTERN = '^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$';
const NAME = new RegExp(NAME_PATTERN);

/** Throws `invalid` unless `name` is 1 to 63 of [a-z0-9-], with no dash at either end. Returns it. */
export function checkName(name: string, field = 'name'): string {
  if (NAME.test(name)) return name;
  const reason =
    name === ''
      ? 'is empty'
      : name.length > 63
        ? `has ${name.length} characters; the most is 63`
        : `${JSON.stringify(name)} is not a valid name`;
  throw new PolykernelError('invalid', `${field} ${reason}`, {
    field,
    value: name.slice(0, 100),
    hint: `Use lower-case letters, digits and inner dashes, such as ${JSON.stringify(suggestion(name))}.`,
  });
}

function suggestion(name: string): string {
  const tidy = name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, 63)
    .replace(/^-+|-+$/g, '');
  return tidy === '' ? 'web-1' : tidy;
}
