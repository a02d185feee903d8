import fc from 'fast-check';
import { expect, it } from 'vitest';
import { PolykernelError } from '../../sys/errors.ts';
import { formatted } from './format.ts';
import { compileTemplate, type View } from './template.ts';

const VIEW: View = {
  fields: {
    Names: 'web',
    Status: 'Up 5m',
    PID: 42,
    Labels: 'team=shop',
    Label: (name: unknown) => (name === 'team' ? 'shop' : ''),
    Networks: { b: { IP: '10.0.0.2' }, a: { IP: '10.0.0.1' } },
    Mounts: ['/a', '/b'],
    None: null,
    Empty: '',
    On: true,
  },
  raw: { spec: { name: 'web', cpus: 2, labels: { team: 'shop' } }, state: 'running' },
};
const render = (text: string) => compileTemplate(text)(VIEW);

it.each([
  ['plain', 'plain'],
  ['{{.Names}}', 'web'],
  ['{{ .Names }}-{{.PID}}', 'web-42'],
  ['{{.spec.name}}/{{.state}}', 'web/running'],
  ['{{json .Mounts}}', '["/a","/b"]'],
  ['{{json .spec}}', '{"name":"web","cpus":2,"labels":{"team":"shop"}}'],
  ['{{.Names | json}}', '"web"'],
  ['{{.Names | upper | printf "%s!"}}', 'WEB!'],
  ['{{.Label "team"}}', 'shop'],
  ['{{index .spec.labels "team"}}{{index .spec.labels "no"}}', 'shop<no value>'],
  ['{{index .Mounts 1}}', '/b'],
  ['{{.spec.labels.team}} {{.spec.labels.none}}', 'shop <no value>'],
  ['{{if .On}}yes{{else}}no{{end}}', 'yes'],
  ['{{if .Empty}}yes{{else if eq .PID 42}}42{{else}}no{{end}}', '42'],
  ['{{if and .On (gt .PID 40) (not .Empty)}}all{{end}}', 'all'],
  ['{{or .Empty .Names}}', 'web'],
  ['{{and .None .Names}}', '<no value>'],
  ['{{range .Mounts}}[{{.}}]{{end}}', '[/a][/b]'],
  ['{{range $i, $m := .Mounts}}{{$i}}={{$m}} {{end}}', '0=/a 1=/b '],
  ['{{range $k, $v := .Networks}}{{$k}}:{{$v.IP}} {{end}}', 'a:10.0.0.1 b:10.0.0.2 '],
  ['{{range .Networks}}{{.IP}}{{end}}', '10.0.0.110.0.0.2'],
  ['{{range .Empty}}x{{else}}none{{end}}', 'none'],
  ['{{with .spec}}{{.cpus}} of {{$.Names}}{{end}}', '2 of web'],
  ['{{$n := .Names}}{{$n}}{{$n}}', 'webweb'],
  ['{{len .Mounts}} {{len .Names}}', '2 3'],
  ['{{join .Mounts ","}}', '/a,/b'],
  ['{{(index .Networks "a").IP}}', '10.0.0.1'],
  ['{{.Mounts}} {{.spec.labels}}', '[/a /b] map[team:shop]'],
  ['a {{- .Names -}} b', 'awebb'],
  ['{{/* nothing */}}x', 'x'],
  ['{{"}}"}}{{`a"b`}}', '}}a"b'],
  ['{{printf "%-5s|%3d|%q" .Names .PID .Status}}', 'web  | 42|"Up 5m"'],
  ['{{printf "%s\\n" .Names}}', 'web\n'],
  ['{{range .Mounts}}{{.}}{{"\n"}}{{end}}', '/a\n/b\n'],
  [
    '{{printf "%5.1f|%.2f|%-6.2f|%+d|%05d|%x|%t|%.2s|%%" 2.55 1.0 3.14159 .PID .PID 255 .On .Names}}',
    '  2.5|1.00|3.14  |+42|00042|ff|true|we|%',
  ],
  ['{{len .Mounts | printf "%03d"}}', '002'],
  ['{{slice .Names 1}}{{slice .Names 0 1}}{{slice .Mounts 1 2}}', 'ebw[/b]'],
  ['{{with $s := .spec}}{{$s.cpus}}{{.name}}{{end}}{{with $x := .Empty}}x{{else}}none{{end}}', '2webnone'],
  ['{{if $p := .PID}}{{$p}}{{.Names}}{{end}}', '42web'],
  ['{{with .Empty}}x{{else with .Names}}{{.}}{{else}}y{{end}}', 'web'],
  ['{{truncate .Status 2}}', 'Up'],
  ['{{println .Names}}', 'web\n'],
])('%s', (text, result) => {
  expect(render(text)).toBe(result);
});

it("a line's end in the quotes of a template, as a shell passes it on", () => {
  expect(formatted(String.raw`{{range .Mounts}}{{.}}{{"\n"}}{{end}}{{printf "%s\t" .Names}}`, [VIEW], () => '')).toBe(
    '/a\n/b\nweb\t\n',
  );
});

it('a view as JSON is its fields', () => {
  const { Label: _, ...fields } = VIEW.fields;
  expect(JSON.parse(render('{{json .}}'))).toEqual(fields);
});

it.each([
  ['{{.names}}', /no field \.names/, /Did you mean \.Names\?/],
  ['{{.Statsu}}', /no field \.Statsu/, /Did you mean \.Status\?/],
  ['{{Names}}', /no function Names/, /Fields begin with a dot: \.Names/],
  ['{{.Names', /has no }}/, /./],
  ['{{if .On}}', /\{\{if\}\} has no \{\{end\}\}/, /./],
  ['{{end}}', /ends nothing/, /./],
  ['{{}}', /nothing where a value must be/, /./],
  ['{{.Names.First}}', /no \.First in "web"/, /./],
  ['{{.Names "x"}}', /takes no argument/, /./],
  ['{{$x}}', /no variable \$x/, /./],
  ['{{len 5}}', /len wants/, /./],
  ['{{(.Names}}', /no closing \)/, /./],
  ['{{.Names)}}', /too many/, /./],
  ['{{printf "%c" .PID}}', /does not know %c/, /%d/],
  ['{{printf "%.1f" .Names}}', /%.1f wants a number, not web/, /./],
  ['{{printf "%s %s" .Names}}', /no value for %s/, /./],
  ['{{printf "x" .Names}}', /values without a verb: 1/, /./],
  ['{{slice .Names 9}}', /not within the 3/, /./],
  ['{{with $a, $b := .Names}}x{{end}}', /sets two variables/, /./],
  ['{{.constructor}}', /no field \.constructor/, /./],
])('%s is refused', (text, message, hint) => {
  const error = errorOf(() => render(text));
  expect(error?.message).toMatch(message);
  expect(error?.hint).toMatch(hint);
});

function errorOf(action: () => unknown): PolykernelError | undefined {
  try {
    action();
  } catch (error) {
    if (error instanceof PolykernelError) return error;
    throw error;
  }
  return undefined;
}

it('whatever the text: it is rendered, or refused in words', () => {
  const pieces = fc.constantFrom(
    ...[
      '{{',
      '}}',
      '.Names',
      ' ',
      '|',
      'json',
      '(',
      ')',
      '"',
      'range',
      'end',
      'if',
      'else',
      '$x',
      ':=',
      '.',
      '-',
      '1',
      '`',
    ],
  );
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 12 }), (list) => {
      errorOf(() => render(list.join('')));
    }),
    { numRuns: 2000 },
  );
});

it.each([
  ['{{.Names}}', 'web\nweb\n'],
  ['table', 'TABLE'],
  ['table {{.Names}}\\t{{.Label "team"}}\\t{{.PID}} x', 'NAMES  TEAM  PID x\nweb    shop  42 x\nweb    shop  42 x\n'],
  ['{{.Names}}\\n', 'web\n\nweb\n\n'],
])('formatted as %s', (format, text) => {
  expect(formatted(format, [VIEW, VIEW], () => 'TABLE')).toBe(text);
});

it('as json it is a line for each', () => {
  const lines = formatted('json', [VIEW, VIEW], () => '')
    .trimEnd()
    .split('\n');
  expect(lines.map((line) => JSON.parse(line).Names)).toEqual(['web', 'web']);
});
