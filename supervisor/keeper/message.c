// Messages of the keeper: one is one packet of its socket (SOCK_SEQPACKET). A
// supervisor that is broken must not break its keeper, so anything may come in.
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "keeper.h"

// The control message of as many descriptors as an entry may have, aligned.
union rights {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(KEEPER_MAX_FDS * sizeof(int))];
};

// after returns what follows the verb, NULL if the message has another one.
static const char *after(const char *verb, const char *bytes, size_t length) {
	size_t n = strlen(verb);
	return length >= n && !memcmp(bytes, verb, n) ? bytes + n : NULL;
}

static int number(const char *digits, size_t length) {
	int n = 0;
	if (length < 1 || length > 3)
		return -1;
	for (size_t i = 0; i < length; i++) {
		if (digits[i] < '0' || digits[i] > '9')
			return -1;
		n = 10 * n + digits[i] - '0';
	}
	return n <= 255 ? n : -1;
}

static int is_name(size_t length) { return length > 0 && length <= KEEPER_MAX_NAME; }

struct keeper_message keeper_parse(const char *bytes, size_t length) {
	struct keeper_message m = {.kind = KEEPER_MALFORMED};
	const char *rest, *end = bytes + length;
	if ((rest = after("put ", bytes, length))) {
		const char *zero = memchr(rest, 0, end - rest);
		if (zero && is_name(zero - rest) && end - zero - 1 <= KEEPER_MAX_DATA)
			m = (struct keeper_message){KEEPER_PUT, rest, zero - rest, 0};
	} else if ((rest = after("drop ", bytes, length))) {
		if (is_name(end - rest) && !memchr(rest, 0, end - rest))
			m = (struct keeper_message){KEEPER_DROP, rest, end - rest, 0};
	} else if ((rest = after("end ", bytes, length))) {
		int code = number(rest, end - rest);
		if (code >= 0)
			m = (struct keeper_message){KEEPER_END, NULL, 0, code};
	} else if ((rest = after("ready", bytes, length)) && rest == end) {
		m.kind = KEEPER_READY;
	}
	return m;
}

void keeper_close_all(const int *fds, int count) {
	for (int i = 0; i < count; i++)
		close(fds[i]);
}

// descriptors collects what came with a message, which is all that fitted into
// union rights; the kernel closes the others and says so in msg_flags.
static int descriptors(struct msghdr *m, int *fds) {
	int count = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n && count < KEEPER_MAX_FDS; i++)
			memcpy(&fds[count++], CMSG_DATA(c) + i * sizeof(int), sizeof(int));
	}
	return count;
}

static int is_more(int socket) {
	int waiting = 0; // bytes of all packets that wait
	return !ioctl(socket, FIONREAD, &waiting) && waiting > 0;
}

int keeper_receive(int socket, char *bytes, size_t *length, int *fds, int *count) {
	union rights rights;
	struct iovec part = {bytes, KEEPER_MAX_MESSAGE};
	struct msghdr m = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = &rights, .msg_controllen = sizeof rights,
	};
	*length = 0;
	*count = 0;
	ssize_t n = recvmsg(socket, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0) // a supervisor that died before it read all of ours: what it sent is still there
		return errno == ECONNRESET || errno == EINTR;
	*count = descriptors(&m, fds);
	*length = n;
	if (n == 0 || m.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
		keeper_close_all(fds, *count);
		*count = 0;
		*length = 0;
	}
	return n > 0 || is_more(socket); // an empty message looks like the end of file
}

int keeper_send(int socket, const char *bytes, size_t length, const int *fds, int count) {
	union rights rights = {0};
	struct iovec part = {(void *)bytes, length};
	struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1};
	if (count > 0) {
		m.msg_control = &rights;
		m.msg_controllen = CMSG_SPACE(count * sizeof(int));
		rights.header.cmsg_level = SOL_SOCKET;
		rights.header.cmsg_type = SCM_RIGHTS;
		rights.header.cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(&rights.header), fds, count * sizeof(int));
	}
	return sendmsg(socket, &m, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? errno : 0;
}
