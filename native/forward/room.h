#ifndef PK_FORWARD_ROOM_H
#define PK_FORWARD_ROOM_H

int make_room(unsigned own);

#endif
