#include "fields.h"

#include <string.h>

int split_fields(char *text, char separator, char *field[], int most)
{
	static char none[1];
	int count = 0;

	for (int i = 0; i < most; i++)
		field[i] = none;
	while (count < most) {
		char *end;

		field[count++] = text;
		end = count < most ? strchr(text, separator) : NULL;
		if (end == NULL)
			break;
		*end = 0;
		text = end + 1;
	}
	return count;
}
