/*
 * The host's memory for TCP, which is one for all programs and namespaces (tcp_mem): what clients sent and a target does not take, or the
 * other way round, fills it, and then nobody's connections go on. So those that stand still make room before it comes to that.
 */
#ifndef PK_FORWARD_PRESSURE_H
#define PK_FORWARD_PRESSURE_H

#define PRESSURE_LOOK_MS 250

/* While this process is where the host's settings are to be seen. */
void learn_pressure(void);
/* Where the memory is nearly used up: resets connections that stand still, those that hold the most first, until half of it is given
 * back. Who holds little waits until others have done so. */
void relieve_pressure(void);

#endif
