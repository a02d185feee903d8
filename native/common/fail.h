/* How a program ends when it cannot do what it is asked: one line that says why. */
#ifndef PK_FAIL_H
#define PK_FAIL_H

/* Each program that uses this defines its name. */
extern const char program_name[];
/* What it ends with then; 1 unless a program sets it. */
extern int fail_status;

/* Tells of errno too, unless it is 0. */
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* For what is refused, which is no error of the system. */
_Noreturn void refuse(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
