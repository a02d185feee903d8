import { expect, it } from 'vitest';
import { POLICIES } from '../policy/policies.ts';
import { generate } from './families.ts';
import { report } from './report.ts';
import { run } from './run.ts';
import { Timeline } from './timeline.ts';

it('keeps means in spans of uneven length', () => {
  const scene = generate('step', 1, { seconds: 900 });
  const timeline = new Timeline(scene);
  run(POLICIES[0]!, scene, { timeline });
  expect(timeline.spans).toBe(600);
  for (const row of timeline.cpus) expect(row.every((cpus) => cpus === 3)).toBe(true);
});

it('writes a report that needs nothing else, and in which names are text', () => {
  const made = generate('step', 1, { seconds: 60 });
  const tenants = made.tenants.map((tenant, index) => (index === 0 ? { ...tenant, name: '<b>&"' } : tenant));
  const scene = { ...made, tenants };
  const timelines = POLICIES.map(() => new Timeline(scene));
  const outcomes = POLICIES.map((policy, index) => run(policy, scene, { timeline: timelines[index]! }));
  const html = report(scene, outcomes, timelines, { seconds: 3, exact: false });
  expect(html).toContain('at least 3');
  for (const { name } of POLICIES) expect(html).toContain(`<h2>${name}: `);
  expect(html).toContain('&lt;b&gt;&amp;&quot;');
  expect(html).not.toContain('<b>');
  expect(html).not.toMatch(/https?:|<script|src=|NaN|undefined/);
  expect(html.match(/<svg/g)).toHaveLength(POLICIES.length + 1);
});
