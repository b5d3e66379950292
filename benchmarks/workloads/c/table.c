#include "table.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_SIZE 64

static uint64_t hash(const char *word)
{
	uint64_t value = 14695981039346656037u; /* FNV-1a */

	for (; *word; word++)
		value = (value ^ (unsigned char)*word) * 1099511628211u;
	return value;
}

int table_init(struct table *table)
{
	table->size = FIRST_SIZE;
	table->used = 0;
	table->buckets = calloc(table->size, sizeof(*table->buckets));
	return table->buckets ? 0 : -1;
}

static int grow(struct table *table)
{
	size_t size = table->size * 2;
	struct entry **buckets = calloc(size, sizeof(*buckets));

	if (!buckets)
		return -1;
	for (size_t i = 0; i < table->size; i++) {
		struct entry *entry = table->buckets[i];

		while (entry) {
			struct entry *next = entry->next;
			struct entry **bucket = &buckets[hash(entry->word) % size];

			entry->next = *bucket;
			*bucket = entry;
			entry = next;
		}
	}
	free(table->buckets);
	table->buckets = buckets;
	table->size = size;
	return 0;
}

int table_count(struct table *table, const char *word)
{
	struct entry **bucket = &table->buckets[hash(word) % table->size];
	struct entry *entry;

	for (entry = *bucket; entry; entry = entry->next) {
		if (strcmp(entry->word, word) == 0) {
			entry->count++;
			return 0;
		}
	}
	entry = malloc(sizeof(*entry));
	if (!entry)
		return -1;
	entry->word = strdup(word);
	if (!entry->word) {
		free(entry);
		return -1;
	}
	entry->count = 1;
	entry->next = *bucket;
	*bucket = entry;
	return ++table->used > table->size ? grow(table) : 0;
}

static int compare(const void *left, const void *right)
{
	const struct entry *a = *(struct entry *const *)left, *b = *(struct entry *const *)right;

	if (a->count != b->count)
		return a->count < b->count ? 1 : -1;
	return strcmp(a->word, b->word);
}

struct entry **table_sorted(const struct table *table)
{
	struct entry **sorted = malloc((table->used + 1) * sizeof(*sorted));
	size_t count = 0;

	if (!sorted)
		return NULL;
	for (size_t i = 0; i < table->size; i++)
		for (struct entry *entry = table->buckets[i]; entry; entry = entry->next)
			sorted[count++] = entry;
	qsort(sorted, count, sizeof(*sorted), compare);
	return sorted;
}

void table_free(struct table *table)
{
	for (size_t i = 0; i < table->size; i++) {
		struct entry *entry = table->buckets[i];

		while (entry) {
			struct entry *next = entry->next;

			free(entry->word);
			free(entry);
			entry = next;
		}
	}
	free(table->buckets);
}
