// The entries that a keeper holds. There are up to some thousand, and a look
// over the hashes of 10,000 takes some microseconds: an array is enough.
#define _GNU_SOURCE
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "keeper.h"

struct entry {
	uint32_t hash;   // of the name
	uint32_t length; // of the message
	uint16_t name_length;
	uint16_t count; // of the descriptors
	int *block;     // the descriptors, then the message
};

static struct entry *entries;
static size_t used, room;

static char *message_of(const struct entry *e) { return (char *)(e->block + e->count); }

// hash is FNV-1a, 32 bits.
static uint32_t hash(const char *name, size_t length) {
	uint32_t h = 2166136261u;
	for (size_t i = 0; i < length; i++)
		h = (h ^ (unsigned char)name[i]) * 16777619u;
	return h;
}

// find returns the index of the name, or used.
static size_t find(const struct keeper_message *m) {
	uint32_t h = hash(m->name, m->name_length);
	size_t i = 0;
	while (i < used && !(entries[i].hash == h && entries[i].name_length == m->name_length &&
			     !memcmp(message_of(&entries[i]) + strlen("put "), m->name, m->name_length)))
		i++;
	return i;
}

static int grow(void) {
	size_t more = room ? 2 * room : 64;
	struct entry *moved = realloc(entries, more * sizeof *entries);
	if (!moved)
		return 0;
	entries = moved;
	room = more;
	return 1;
}

static void release(struct entry *e) {
	keeper_close_all(e->block, e->count);
	free(e->block);
}

int keeper_put(const struct keeper_message *m, const char *bytes, size_t length, const int *fds, int count) {
	struct entry e = {hash(m->name, m->name_length), length, m->name_length, count, malloc(count * sizeof(int) + length)};
	size_t i = find(m);
	if (!e.block || (i == room && !grow())) {
		free(e.block);
		keeper_close_all(fds, count);
		return 0;
	}
	memcpy(e.block, fds, count * sizeof(int));
	memcpy(message_of(&e), bytes, length);
	if (i < used)
		release(&entries[i]);
	else
		used++;
	entries[i] = e;
	return 1;
}

void keeper_drop(const struct keeper_message *m) {
	size_t i = find(m);
	if (i == used)
		return;
	release(&entries[i]);
	used--;
	memmove(&entries[i], &entries[i + 1], (used - i) * sizeof *entries);
}

size_t keeper_count(void) { return used; }

int keeper_give(int socket, size_t i) {
	const struct entry *e = &entries[i];
	return keeper_send(socket, message_of(e), e->length, e->block, e->count);
}
