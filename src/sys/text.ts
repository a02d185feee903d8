/**
 * Text from guests, VMMs and tools as it may be shown to people: a terminal must not obey it, and it must read as it is.
 * Every such text goes through here where it enters, and again where it is printed. Linear in its length.
 */

/**
 * Terminal escape sequences (ECMA-48: CSI, strings such as OSC, two-character ones), with every repeat bounded: what goes on for
 * longer is removed character by character.
 */
const ESCAPES =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is to be removed
  /(?:\x1b\[|\x9b)[0-?]{0,64}[ -/]{0,8}[@-~]|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x00-\x1f\x7f-\x9f]{0,512}(?:\x07|\x9c|\x1b\\)?|\x1b[ -/]{0,8}[0-~]/g;
/**
 * Controls but tab and line feed; what joins, turns or hides text without being seen itself; half surrogates; private use;
 * line and paragraph separators.
 */
const UNSEEN =
  /(?![\t\n])[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\p{Noncharacter_Code_Point}]/gu;
/** Our own: colours, and before all else what `--watch` clears the screen with. */
const OWN_OR_UNSEEN = new RegExp(`(^\\x1b\\[H\\x1b\\[J|\\x1b\\[[\\d;]{0,16}m)|${UNSEEN.source}`, 'gu');
/** Nothing of which is ever removed: what nearly all text is made of. */
const ORDINARY = /^[\t\n -~]*$/;
const CUT = ' […]';

/**
 * Removes all but visible characters, spaces, tabs and line feeds. At most `most` UTF-16 units stay, and are all that is
 * looked at; what is cut off is told by ` […]`.
 */
export function plainText(text: string, most = Infinity): string {
  const shown = text.length > most ? text.slice(0, most) : text;
  const plain = ORDINARY.test(shown) ? shown : shown.replace(ESCAPES, '').replace(UNSEEN, '');
  return text.length > most ? plain + CUT : plain;
}

/** plainText() in one line: tabs and line feeds are spaces. */
export const plainLine = (text: string, most = Infinity): string => plainText(text, most).replace(/[\t\n]/g, ' ');

/** `text` (JSON) with what plainText() would remove as escapes, which mean the same to whoever parses it. */
export const plainJson = (text: string): string =>
  text.replace(UNSEEN, (character) =>
    Array.from(
      { length: character.length },
      (_, at) => `\\u${character.charCodeAt(at).toString(16).padStart(4, '0')}`,
    ).join(''),
  );

/** Text of our own with colours in it, without anything else that plainText() would remove. */
export const markedText = (text: string): string => text.replace(OWN_OR_UNSEEN, (_, own?: string) => own ?? '');
