#ifndef PK_INIT_LINE_H
#define PK_INIT_LINE_H

#include "bytes.h"
#include "protocol.h"

enum { LONGEST_IN = HEADER + BARE_IN + BARE_END, IN_SIZE = 4 * LONGEST_IN }; /* bytes from the line that are not parsed yet */

extern u8 in[IN_SIZE];
extern u32 in_pos, in_len; /* what of `in` is not parsed yet */
extern int line, line_tty;
extern u8 *shared; /* memory that the host shares: slots towards the guest, then as many towards the host; or NULL */
extern u32 slots; /* in each direction */
extern u32 slots_in, slots_free; /* how many the host has filled since its HELLO, and of these it was told that they are free again */
extern u32 slots_out, slots_taken; /* how many were filled here since, and of these read by the host */
extern u32 line_read, line_base, line_acked;
extern u64 line_rest; /* until then the line is not looked at: its host end is closed */

extern u32 carried; /* bytes of a frame that are no more in a session's pipe and not on the line */

u32 line_carry(int pipe, u8 type, u32 session, u32 most);
void line_flush(void);
int line_sends(void); /* whether there is something that the line may take */
int line_waits(void); /* whether something has not reached the other end, as far as this one knows */
u64 line_due(void); /* when to flush again, heard or not */
int slots_full(void);
u32 line_window(void);
u32 longest_payload(void);
void line_input(u64 now);
void line_hear(void); /* takes what has come, and says so */
int line_second(void); /* what is waited for besides, or -1 */
int line_sends_second(void); /* whether what is to be sent goes there */
void line_input_second(u64 now);
void open_line(void);
int port_share(const char *count);
void port_alone(void);

#endif
