/* Counts the words on its standard input. */
#include "reader.h"
#include "table.h"

#include <stdlib.h>

int main(void)
{
	struct table table;
	struct entry **sorted;
	char word[256];

	if (table_init(&table))
		goto no_memory;
	while (next_word(stdin, word, sizeof(word)))
		if (table_count(&table, word))
			goto no_memory;
	sorted = table_sorted(&table);
	if (!sorted)
		goto no_memory;
	for (size_t i = 0; i < table.used; i++)
		printf("%lu %s\n", sorted[i]->count, sorted[i]->word);
	free(sorted);
	table_free(&table);
	return ferror(stdin) || fflush(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;

no_memory:
	fputs("words: out of memory\n", stderr);
	return EXIT_FAILURE;
}
