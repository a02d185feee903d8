/** The functions of shells that ask `pk __complete` (kit/complete.ts). */
import { PolykernelError } from '../../sys/errors.ts';
import type { Command } from '../kit/command.ts';
import { print } from '../kit/output.ts';

/** Each asks `pk __complete` and falls back to file names when that offers nothing. */
const SCRIPTS: Readonly<Record<string, string>> = {
  bash: `_polykernel() {
  local IFS=$'\\n' cur="\${COMP_WORDS[COMP_CWORD]}" line="\${COMP_LINE:0:COMP_POINT}"
  # Words as the shell separates arguments: bash breaks debian:uml at the colon, --driver=uml at the sign.
  local -a words; IFS=' ' read -r -a words <<< "$line"; [[ $line == *' ' ]] && words+=("")
  local whole="\${words[\${#words[@]}-1]}"
  COMPREPLY=($("\${words[0]}" __complete "\${words[@]:1}" 2>/dev/null))
  if [[ $whole == *[:=]* ]]; then COMPREPLY=("\${COMPREPLY[@]#"\${whole%"\${whole##*[:=]}"}"}"); fi
}
complete -o default -F _polykernel pk polykernel
`,
  zsh: `#compdef pk polykernel
_polykernel() {
  local -a found
  found=("\${(@f)$("\${words[1]}" __complete "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ -n "$found" ]]; then compadd -- $found; else _files; fi
}
compdef _polykernel pk polykernel
`,
  fish: `function __polykernel
  set -l words (commandline -opc) (commandline -ct)
  $words[1] __complete $words[2..-1] 2>/dev/null
end
complete -c pk -c polykernel -a '(__polykernel)'
`,
};

export const command: Command = {
  summary: 'print a completion script for bash, zsh or fish',
  usage: 'bash|zsh|fish',
  options: {},
  arguments: [1, 1],
  words: Object.keys(SCRIPTS),
  examples: [
    ['source <(pk completion bash)', 'for this shell'],
    ['pk completion fish > ~/.config/fish/completions/pk.fish', 'for good'],
  ],
  async run(invocation) {
    const shell = invocation.positionals[0]!;
    const script = Object.hasOwn(SCRIPTS, shell) ? SCRIPTS[shell] : undefined;
    if (script === undefined)
      throw new PolykernelError('invalid', `${JSON.stringify(shell)} is not one of bash, zsh, fish`, {
        value: shell,
        hint: 'See `pk completion --help`.',
      });
    await print(script);
    return 0;
  },
};
