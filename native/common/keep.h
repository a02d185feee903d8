/*
 * A process of its own that outlives who started it: it is known by a file that says `PID START_TIME`, and is wanted while it
 * does. src/core/background.ts is the other side.
 */
#ifndef PK_KEEP_H
#define PK_KEEP_H

/* How often to look whether one is still wanted. */
#define LOOK_MS 5000

/* Whether FILE says that it is this process, or cannot be read at present. */
int keep_is_wanted(const char *file);

/*
 * Writes FILE, with the number of a descriptor unless that is -1, says `ready` and lets go of terminal, standard streams and
 * directory. Returns -1 when FILE cannot be written.
 */
int keep_begin(const char *file, int fd);

#endif
