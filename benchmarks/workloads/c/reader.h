/* Words of a stream. */
#ifndef READER_H
#define READER_H

#include <stddef.h>
#include <stdio.h>

/* Reads the next word, in lower case and cut to size; returns 0 at the end. */
int next_word(FILE *stream, char *word, size_t size);

#endif
