// The hand-over to the interceptor.
//
//   shim                                    Agent (seccomp/handover.go)
//     | connect ----------------------------> |
//     | ---- "\n" -------------------------> |  is somebody there?
//     | <--------------------------- "H" --- |  here
//     | install the filter                   |
//     | ---- state + notification fd ------> |
//     | <--------------------------- "A" --- |  attached
//
// An interceptor that was killed leaves the connection to the next, which begins
// anew: "H" may come again. It may also be killed before the connection is kept;
// then the connection ends, and the shim makes another.
//
// Once the filter is installed there is no way back: with nobody to answer it,
// every connect would fail with ENOSYS. So all that can fail is done before. If
// the hand-over is optional, the program then runs without it.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "shim.h"

#ifndef SECCOMP_FILTER_FLAG_NEW_LISTENER
#define SECCOMP_FILTER_FLAG_NEW_LISTENER (1UL << 3)
#endif
#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

#define MAX_FILE 65536
#define PATIENCE 10 // seconds for each answer, where the hand-over is optional
#define ATTEMPTS 50 // to find an interceptor that stays, this far apart:
#define PAUSE 100   // milliseconds

struct file {
	char bytes[MAX_FILE];
	size_t size;
};

// missing returns -1 if the program can run without the hand-over, and says so.
static int missing(const struct options *o, const char *what) {
	if (!o->optional)
		upall_die(EXIT_SETUP, what);
	dprintf(2, "upall: not running: connects are not held (%s: %s)\n", what, strerror(errno));
	return -1;
}

static int read_file(const char *path, struct file *f) {
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	ssize_t n = 0;
	while (f->size < MAX_FILE && (n = read(fd, f->bytes + f->size, MAX_FILE - f->size)) > 0)
		f->size += n;
	close(fd);
	return n < 0 ? -1 : 0;
}

static int connect_agent(const struct options *o) {
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	const struct timeval limit = {.tv_sec = PATIENCE};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return missing(o, "make a socket");
	if (o->optional) { // connect is bounded too: by the time to send
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	}
	strncpy(addr.sun_path, o->socket, sizeof addr.sun_path - 1);
	if (!connect(fd, (struct sockaddr *)&addr, sizeof addr))
		return fd;
	int gone = errno == ENOENT || errno == ENOTDIR || errno == ECONNREFUSED;
	if (!o->optional || !gone) // else the container was started without upall
		missing(o, "connect to the interceptor");
	close(fd);
	return -1;
}

// answered waits for the byte. Others before it are not for now.
static int answered(int agent, char byte) {
	char answer;
	ssize_t n;
	do
		n = read(agent, &answer, 1);
	while ((n < 0 && errno == EINTR) || (n == 1 && answer != byte));
	if (n == 0)
		errno = ECONNABORTED;
	if (n < 0 && errno == EAGAIN)
		errno = ETIMEDOUT;
	return n == 1;
}

// meet connects to an interceptor that is there, -1 without one.
static int meet(const struct options *o) {
	const struct timespec pause = {.tv_nsec = PAUSE * 1000000L};
	for (int attempt = 1;; attempt++) {
		int agent = connect_agent(o);
		if (agent < 0)
			return -1;
		if (send(agent, "\n", 1, MSG_NOSIGNAL) == 1 && answered(agent, 'H'))
			return agent;
		int reason = errno;
		close(agent);
		errno = reason;
		int ended = reason == ECONNABORTED || reason == ECONNRESET || reason == EPIPE;
		if (!ended || attempt == ATTEMPTS)
			return missing(o, "the interceptor does not answer");
		nanosleep(&pause, NULL);
	}
}

static int install(const struct options *o, struct file *program) {
	struct sock_fprog prog = {.len = program->size / sizeof(struct sock_filter), .filter = (struct sock_filter *)program->bytes};
	unsigned long flags = SECCOMP_FILTER_FLAG_NEW_LISTENER;
	if (o->killable)
		flags |= SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
	int fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &prog);
	if (fd >= 0 || errno != EACCES)
		return fd;
	// No CAP_SYS_ADMIN: the kernel then wants set-uid programs switched off.
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -1;
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &prog);
}

// hand_over sends the state with the fd and waits until the interceptor has it.
static void hand_over(int agent, int notify, struct file *state) {
	struct iovec iov = {state->bytes, state->size};
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.buf, .msg_controllen = sizeof control.buf};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &notify, sizeof notify);
	if (sendmsg(agent, &msg, MSG_NOSIGNAL) != (ssize_t)iov.iov_len)
		upall_die(EXIT_SETUP, "hand the notification fd over");
	if (!answered(agent, 'A'))
		upall_die(EXIT_SETUP, "the interceptor did not take the notification fd");
}

void upall_intercept(const struct options *o) {
	static struct file program, state;
	int notify = -1, agent = meet(o);
	if (agent < 0)
		return;
	if (read_file(o->filter, &program))
		missing(o, o->filter);
	else if (read_file(o->state, &state))
		missing(o, o->state);
	else if ((notify = install(o, &program)) < 0)
		missing(o, "install the seccomp filter");
	else
		hand_over(agent, notify, &state);
	close(agent);
	if (notify >= 0)
		close(notify);
}
