#include "reader.h"

#include <ctype.h>

int next_word(FILE *stream, char *word, size_t size)
{
	size_t length = 0;
	int c;

	while ((c = getc(stream)) != EOF) {
		if (isalnum(c)) {
			if (length + 1 < size)
				word[length++] = (char)tolower(c);
		} else if (length) {
			break;
		}
	}
	word[length] = '\0';
	return length > 0;
}
