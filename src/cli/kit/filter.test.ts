import { expect, it } from 'vitest';
import { type Filters, filtered, hasLabel } from './filter.ts';

interface Row {
  name: string;
  labels: Record<string, string>;
}
const ROWS: Row[] = [
  { name: 'web', labels: { team: 'shop', tier: '1' } },
  { name: 'db', labels: { team: 'shop' } },
  { name: 'job', labels: {} },
];
const FILTERS: Filters<Row> = {
  name: ({ name }, value) => name.includes(value),
  label: ({ labels }, value) => hasLabel(labels, value),
};
const names = (...given: string[]) => filtered(ROWS, given, FILTERS).map(({ name }) => name);

it('leaves what has one of the values of each key, and every label', () => {
  expect(names()).toEqual(['web', 'db', 'job']);
  expect(names('name=b')).toEqual(['web', 'db', 'job']);
  expect(names('name=web', 'name=job')).toEqual(['web', 'job']);
  expect(names('label=team')).toEqual(['web', 'db']);
  expect(names('label=team=shop', 'label=tier')).toEqual(['web']);
  expect(names('label=team=other')).toEqual([]);
  expect(names('name=web', 'label=team')).toEqual(['web']);
  expect(names('label=constructor')).toEqual([]);
});

it('names what there is', () => {
  expect(() => names('nam=web')).toThrow(/no filter "nam"/);
  expect(() => names('constructor=x')).toThrow(/no filter/);
  expect(() => names('name')).toThrow(/name wants a value/);
});
