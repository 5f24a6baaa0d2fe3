// Shared between the parts of the keeper. keeper.go draws the messages.
#ifndef UPALL_KEEPER_H
#define UPALL_KEEPER_H

#include <stddef.h>

enum { KEEPER_MAX_NAME = 255, KEEPER_MAX_DATA = 32 << 10, KEEPER_MAX_FDS = 8 };

// The longest message is "put NAME\0DATA".
enum { KEEPER_MAX_MESSAGE = 4 + KEEPER_MAX_NAME + 1 + KEEPER_MAX_DATA };

enum keeper_kind { KEEPER_MALFORMED, KEEPER_PUT, KEEPER_DROP, KEEPER_END, KEEPER_READY };

// A message, understood. name points into its bytes.
struct keeper_message {
	enum keeper_kind kind;
	const char *name; // of put and drop
	size_t name_length;
	int code; // of end
};

// keeper_parse understands the length bytes of a message.
struct keeper_message keeper_parse(const char *bytes, size_t length);

// keeper_receive reads one message from a socket without waiting, of at most
// KEEPER_MAX_MESSAGE bytes, and with it at most KEEPER_MAX_FDS descriptors,
// which are the caller's. It returns 0 when there is nothing more, now or for
// ever. A message that breaks the bounds has the length 0 and no descriptor.
int keeper_receive(int socket, char *bytes, size_t *length, int *fds, int *count);

// keeper_send sends without waiting. It returns 0 or an error number.
int keeper_send(int socket, const char *bytes, size_t length, const int *fds, int count);

// keeper_close_all closes descriptors.
void keeper_close_all(const int *fds, int count);

// keeper_enter moves this process, which has one thread, into the namespaces of a
// process of the host (setns(2)). where is "PID:INODE" with the inode of the pid
// namespace that PID counts in, which has to be ours. It returns NULL, or what could
// not be done, with errno.
const char *keeper_enter(const char *where);

// The entries are in the order in which their names were first put. An entry is
// kept as the message that put it, so that giving it back is sending it again.

// keeper_put takes the message over, in the place of the entry of that name if
// there is one. The descriptors are its own then. Without memory for it, it
// closes them, leaves the entries as they are and returns 0.
int keeper_put(const struct keeper_message *m, const char *bytes, size_t length, const int *fds, int count);

// keeper_drop forgets an entry and closes its descriptors.
void keeper_drop(const struct keeper_message *m);

// keeper_count returns how many entries there are.
size_t keeper_count(void);

// keeper_give sends the entry number i, as keeper_send does.
int keeper_give(int socket, size_t i);

#endif
