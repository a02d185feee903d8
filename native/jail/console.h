#ifndef PK_JAIL_CONSOLE_H
#define PK_JAIL_CONSOLE_H

#define LINE_FD 4

void serve_line(void);
void serve_console(void);

#endif
