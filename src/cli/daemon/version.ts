import { readFileSync } from 'node:fs';
import { connect } from '../../client/index.ts';
import { type Command, JSON_OPTION } from '../kit/command.ts';
import { answer } from '../kit/output.ts';

export const command: Command = {
  summary: 'show the version of pk and of the daemon',
  usage: '[OPTION]...',
  options: { json: JSON_OPTION },
  arguments: [0, 0],
  examples: [],
  async run(invocation) {
    const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as {
      version: string;
    };
    // A version must be had without starting anything.
    const daemon = await connect({ start: false })
      .then((client) => client.version())
      .catch(() => null);
    const running = daemon === null ? 'not running' : `${daemon.version} (pid ${daemon.pid})`;
    return answer(
      invocation,
      { version, node: process.version, daemon },
      ({ node }) => `pk ${version}, Node ${node}, daemon ${running}\n`,
    );
  },
};
