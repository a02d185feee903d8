/** Sources of device trees, of all that the language has but other files. */
import fc from 'fast-check';

const name = fc.stringMatching(/^[a-z][a-z0-9,._+-]{0,8}$/);
const text = fc
  .array(fc.constantFrom('a', 'Z', ' ', ';', '{', '/*', '//', '\\n', '\\"', '\\\\', '\\x7', '\\101', 'ü', "'"), {
    maxLength: 6,
  })
  .map((parts) => `"${parts.join('')}"`);
const number = fc.oneof(
  fc.integer({ min: 0, max: 255 }).map(String),
  fc.constantFrom('0xff', '017', '(1 + 2 * 3)', '(0xf0 >> 4 | 1)', '(1 ? 5 : 6)', "'a'", '(- 1)', '(~0 & 0x7f)', '7UL'),
);
/** `&#7` stands for a reference to one of the labels. */
const reference = fc.nat(50).map((index) => `&#${index}`);
const label = fc.constantFrom('', '', '', 'L#: ');
const array = (items: fc.Arbitrary<string>) => fc.array(items, { maxLength: 5 }).map((cells) => `<${cells.join(' ')}>`);
const value = fc.oneof(
  text,
  array(fc.oneof({ weight: 3, arbitrary: number }, { weight: 1, arbitrary: reference })),
  fc.constantFrom(8, 16, 64).chain((bits) => array(number).map((cells) => `/bits/ ${bits} ${cells}`)),
  fc.uint8Array({ maxLength: 9 }).map((bytes) => `[${Buffer.from(bytes).toString('hex')}]`),
  reference,
);
const property = fc.tuple(label, name, fc.array(value, { maxLength: 3 })).map(([before, key, values]) => ({
  name: key,
  text: `${before}${key}${values.length === 0 ? '' : ` = ${values.join(', ')}`};`,
}));

interface Member {
  readonly name: string;
  readonly text: string;
}

/** A node with at most so many levels in it. */
const node = (levels: number): fc.Arbitrary<Member> =>
  fc
    .tuple(
      fc.constantFrom('', 'L#: ', '/omit-if-no-ref/ ', 'L#: L#: '),
      fc.tuple(name, fc.constantFrom('', '@0', '@1f,2')).map((parts) => parts.join('')),
      fc.uniqueArray(property, { selector: (item) => item.name, maxLength: 4 }),
      levels === 0
        ? fc.constant([])
        : fc.uniqueArray(node(levels - 1), { selector: (item) => item.name, maxLength: 3 }),
    )
    .map(([before, key, properties, children]) => ({
      name: key,
      text: `${before}${key} { ${[...properties, ...children].map((item) => item.text).join(' ')} };`,
    }));

/** Bodies of the root, with all labels numbered and all references to some of them. */
const bodies = fc.array(
  fc.tuple(
    fc.uniqueArray(property, { selector: (item) => item.name, maxLength: 4 }),
    fc.uniqueArray(node(2), { selector: (item) => item.name, maxLength: 4 }),
    fc.constantFrom('', '', '/delete-property/ nothing;'),
  ),
  { minLength: 1, maxLength: 3 },
);

export const anyDeviceTree = fc
  .tuple(
    fc.array(fc.tuple(number, fc.constantFrom('0x1000', '(1 << 40)', '0xffffffffffffffff')), { maxLength: 2 }),
    bodies,
  )
  .map(([reserved, all]) => {
    let labels = 0;
    const whole = all
      .map(([properties, children, order]) => {
        const members = [...properties.map((item) => item.text), order, ...children.map((item) => item.text)];
        return `/ { ${members.join(' ')} };`.replace(/L#/g, () => `l${labels++}`);
      })
      .join('\n');
    // Labels of properties are none of nodes.
    const ofNodes = [...whole.matchAll(/\b(l\d+): (?:l\d+: )*(?:[a-z][\w,.+-]*(?:@[\d,a-f]+)?) \{/g)].map(
      (match) => match[1]!,
    );
    const linked = whole.replace(
      /&#(\d+)/g,
      (_, index: string) => `&${['kept', ...ofNodes][Number(index) % (ofNodes.length + 1)]}`,
    );
    const reservations = reserved.map(([address, size]) => `/memreserve/ ${address} ${size};\n`).join('');
    return `/dts-v1/;\n${reservations}${linked}\n/ { kept: KEPT { }; };\n`;
  });
