/** What User Mode Linux needs of a machine, for doctor. */
import { type Check, programCheck, toolCheck } from '../../core/check.ts';
import { findTool, type Tool } from '../../sys/tools.ts';
import { UML } from './traits.ts';

const PROGRAM = 'linux.uml';

/** The kernel program is in the image store as well: without the package only an image must be pulled. */
export function umlChecks(
  images: readonly { kind: string }[],
  found: Pick<Tool, 'path' | 'unpacked'> | null = findTool(PROGRAM) ?? null,
): Check[] {
  const parts = programCheck('uml-parts', 'User Mode Linux can be run and given volumes', {
    natives: ['pk-xstate.so', 'pk-share', 'pk-holes'],
  });
  return [kernelCheck(images, found), parts];
}

function kernelCheck(images: readonly { kind: string }[], found: Pick<Tool, 'path' | 'unpacked'> | null): Check {
  const check = toolCheck('user-mode-linux', PROGRAM, 'User Mode Linux is installed', found);
  if (check.status === 'ok' || !images.some(({ kind }) => UML.imageKinds.includes(kind))) return check;
  return { id: check.id, status: 'ok', summary: 'User Mode Linux is in the image store' };
}
