/** What doctor says of one thing that a machine needs. */
import { existsSync } from 'node:fs';
import { cacheDirectory, type NativeProgram, nativePath } from '../sys/paths.ts';
import { findTool, type Tool, toolHint } from '../sys/tools.ts';

export interface Check {
  id: string;
  status: 'ok' | 'warn' | 'missing';
  summary: string;
  /** How to get what is missing, as full sentences; steps are lines. */
  hint?: string;
}

/** `missing` unless all programs are there: those of the machine by `tools`, ours by `natives`. `meaning`: what they are for. */
export function programCheck(
  id: string,
  meaning: string,
  { tools = [], natives = [] }: { tools?: readonly string[]; natives?: readonly NativeProgram[] },
  cache: string = cacheDirectory(),
): Check {
  const absent = tools.filter((name) => findTool(name) === undefined);
  const unbuilt = natives.filter((name) => !existsSync(nativePath(name, cache)));
  if (absent.length + unbuilt.length === 0) return { id, status: 'ok', summary: meaning };
  const hints = [...new Set(absent.map(toolHint)), ...(unbuilt.length > 0 ? ['Run `pk setup`.'] : [])];
  const lacking = [
    ...absent.map((name) => `${name} is not installed`),
    ...unbuilt.map((name) => `${name} is not built`),
  ];
  return { id, status: 'missing', summary: lacking.join(', '), hint: hints.join(' ') };
}

/** Whether a program of the machine is there, and where. `meaning`: what it is for; `found`: where it was found. */
export function toolCheck(
  id: string,
  tool: string,
  meaning: string,
  found: Pick<Tool, 'path' | 'unpacked'> | null = findTool(tool) ?? null,
  hint = toolHint(tool),
): Check {
  if (found === null) return { id, status: 'missing', summary: `${tool} is not installed`, hint };
  const where = `${found.path}${found.unpacked ? ', unpacked by set-up' : ''}`;
  return { id, status: 'ok', summary: `${meaning} (${where})` };
}
