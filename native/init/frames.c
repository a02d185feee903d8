/* Frames towards the host: made in one buffer, with their sums. What is sent from there is the line's part. */
#include "frames.h"

#include <string.h>

#include "../common/crc.h"
#include "bytes.h"
#include "protocol.h"
#include "requests.h"

u8 out[OUT_SIZE];
u32 out_pos, out_len;

u32 out_used(void) { return out_len - out_pos; }

/* Where the payload of the next frame goes; at least OUT_PAYLOAD bytes. NULL when the line has been stuck for long. */
u8 *frame_space(void)
{
	if (out_pos && out_len + HEADER + OUT_PAYLOAD > OUT_SIZE) {
		memmove(out, out + out_pos, out_used());
		out_len -= out_pos, out_pos = 0;
	}
	return out_len + HEADER + OUT_PAYLOAD > OUT_SIZE ? NULL : out + out_len + HEADER;
}

/* `summed`: how much of the payload, which already stands behind it, goes into the sum. */
static void head(u8 type, u8 flags, u32 session, u32 length, u32 summed)
{
	u8 *p = out + out_len;
	p[0] = 'P', p[1] = 'K', p[2] = type, p[3] = flags;
	put32(p + 4, session), put32(p + 8, length);
	put32(p + 12, crc(crc(0, p, 12), p + HEADER, summed));
	out_len += HEADER;
}

/* Completes the frame whose payload already stands in frame_space(). */
void frame_done(u8 type, u8 flags, u32 session, u32 length)
{
	int is_bare = bare && !(flags & MEMORY) && (type == G_STDOUT || type == G_STDERR);
	head(type, is_bare ? flags | BARE : flags, session, length, is_bare ? 0 : length);
	out_len += length;
}

/* The head of a frame whose payload comes on another way, where there is frame_space(). */
void frame_head(u8 type, u32 session, u32 length) { head(type, BARE, session, length, 0); }

void frame(u8 type, u8 flags, u32 session, const void *payload, u32 length)
{
	u8 *p = frame_space();
	if (!p) return;
	if (length) memcpy(p, payload, length);
	frame_done(type, flags, session, length);
}

void frame32(u8 type, u32 session, u32 value)
{
	u8 p[4];
	put32(p, value);
	frame(type, 0, session, p, 4);
}

void frame_text(u8 type, u32 session, u32 a, int b, const char *text)
{
	u8 p[OUT_PAYLOAD];
	u32 n = 4, length = (u32)strnlen(text, 1000);
	put32(p, a);
	if (b >= 0) put32(p + 4, (u32)b), n = 8;
	memcpy(p + n, text, length);
	frame(type, 0, session, p, n + length);
}
