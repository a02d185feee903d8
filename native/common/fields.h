/* Texts of fields with a separator between them. */
#ifndef PK_FIELDS_H
#define PK_FIELDS_H

/*
 * Cuts `text` at its separators into at most `most` fields, the last of which has the rest; those that are not there are empty.
 * Returns how many there are.
 */
int split_fields(char *text, char separator, char *field[], int most);

#endif
