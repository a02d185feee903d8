/** What the agent makes of frames that a host has begun and not ended, or that it has to leave for a while: pk-init's own parser, built as it is fuzzed. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { run, which } from '../../src/sys/process.ts';

const HARNESS = join(import.meta.dirname, '../fuzz/native/pk-init.c');
/** STDIN of session 5 that carries a PUT, cut in its last byte; zeros, and another PUT, as they come from the host's successor. */
const PROGRAM = `#include "${HARNESS}"
#undef exit
#undef _exit
static u32 frame_of(u8 *to, u8 type, u8 flags, u32 id, const void *payload, u32 n, int is_bare)
{
	to[0] = 'P', to[1] = 'K', to[2] = type, to[3] = flags;
	put32(to + 4, id), put32(to + 8, n);
	memcpy(to + HEADER, payload, n);
	put32(to + 12, crc(crc(0, to, 12), to + HEADER, is_bare ? 0 : n));
	memcpy(to + HEADER + n, to + 12, BARE_END);
	return HEADER + n + (is_bare ? BARE_END : 0);
}
static u32 put_of(u8 *to, u32 id)
{
	static const char pairs[] = "path=/x\\0mode=600";
	return frame_of(to, H_PUT, 0, id, pairs, sizeof pairs, 0);
}
/* A slot that was filled while there is no room for answers, and what is said of it then, and when there is. */
static void tell_of_slot(void)
{
	static u8 memory[4 * SLOT];
	u8 length[4];
	begin();
	line_tty = greeted = 1, shared = memory, slots = 2, slots_in = slots_free = 0;
	out_len = OUT_PARSE;
	put32(length, 10);
	u32 n = frame_of(in, H_STDIN, MEMORY, 5, length, sizeof length, 0);
	in_len = line_read = n;
	line_hear();
	printf("%u %u\\n", slots_in, line_acked);
	out_len = 0;
	line_hear();
	printf("%u %u\\n", slots_in, line_acked - n);
	shared = NULL;
}
__attribute__((constructor)) static void probe(void)
{
	static u8 content[256], whole[1024], zeros[HEADER + BARE_IN + BARE_END];
	crc_setup();
	for (int is_bare = 0; is_bare < 2; is_bare++) {
		begin();
		line_tty = !is_bare, bare = is_bare;
		u32 length = put_of(content, 6);
		content[length++] = 'x';
		length = frame_of(whole, H_STDIN, is_bare ? BARE : 0, 5, content, length, is_bare);
		receive(whole, length - 1);
		receive(zeros, line_tty ? HEADER + TTY_PAYLOAD : sizeof zeros);
		receive(whole, put_of(whole, 7));
		printf("%d %d\\n", session_find(6) != NULL, session_find(7) != NULL);
	}
	tell_of_slot();
	fflush(stdout);
	_exit(0);
}
`;

const directory = mkdtempSync(join(tmpdir(), 'pk-frames-'));
afterAll(() => rmSync(directory, { recursive: true }));

// A gcc that set-up unpacked is for musl alone, which lacks headers of Linux that the harness needs.
it.skipIf(which('gcc') === undefined)(
  'takes no request out of what a process was given to read, and the next one as it comes; says that it has what it has taken alone',
  async () => {
    const [source, program] = [join(directory, 'probe.c'), join(directory, 'probe')];
    writeFileSync(source, PROGRAM);
    expect(await run(['gcc', '-std=gnu11', '-w', '-o', program, source])).toMatchObject({ code: 0, stderr: '' });
    expect((await run([program])).stdout).toBe('0 1\n0 1\n0 0\n1 0\n');
  },
);
