/** Whom a command in a guest runs as, as people write it: USER[:GROUP], each a number or a name of the guest's own. */

/** 2^32 - 1 means "no change" to chown(2) and setresuid(2). */
const MOST_ID = 2 ** 32 - 2;
const NAME = '(?:\\d{1,10}|[A-Za-z_\\u0080-\\uffff][^:\\u0000-\\u001f\\u007f]{0,254})';

/** What a user looks like, but for how high a number may be. */
export const USER_PATTERN = `^${NAME}(?::${NAME})?$`;
export const USER_HINT = `Write USER or USER:GROUP, such as 1000, 1000:1000 or postgres: numbers of at most ${MOST_ID}, or names of the guest's own.`;

/** Whether `text` is USER or USER:GROUP. */
export function isUser(text: string): boolean {
  return new RegExp(USER_PATTERN).test(text) && text.split(':').every((each) => !isNumber(each) || isId(each));
}

/** Whether it certainly is the guest's root. */
export const isRootUser = (text: string): boolean => /^(0+|root)(:|$)/.test(text);

const isNumber = (text: string): boolean => /^\d+$/.test(text);
const isId = (text: string): boolean => text.length <= 10 && Number(text) <= MOST_ID;
