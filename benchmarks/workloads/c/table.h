/* A hash table that counts words. */
#ifndef TABLE_H
#define TABLE_H

#include <stddef.h>

struct entry {
	char *word;
	unsigned long count;
	struct entry *next;
};

struct table {
	struct entry **buckets;
	size_t size;
	size_t used;
};

/* Returns -1 where memory lacks. */
int table_init(struct table *table);
int table_count(struct table *table, const char *word);
/* The entries, the most frequent first, to be freed by the caller; NULL where memory lacks. */
struct entry **table_sorted(const struct table *table);
void table_free(struct table *table);

#endif
