// Calls that are malformed, or odd.
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "actor.h"

static char report[1000];

static void note(const char *what, long result) {
	size_t n = strlen(report);
	snprintf(report + n, sizeof report - n, "%s=%s ", what, result < 0 ? errno_name(errno) : "ok");
}

// raw_connect has no C library between that might look at its arguments.
static long raw_connect(int fd, const void *to, long length) { return syscall(SYS_connect, fd, to, length); }

static void note_addresses(const struct sockaddr_in *to) {
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in other = *to;
	char big[256] = {0};
	memcpy(big, to, sizeof *to);
	note("null", raw_connect(fd, NULL, 16));
	note("unmapped", raw_connect(fd, (void *)8, 16));
	note("kernel", raw_connect(fd, (void *)0xffffffff81000000, 16));
	note("badfd", raw_connect(-1, to, 16));
	note("closedfd", raw_connect(987, to, 16));
	note("notsocket", raw_connect(1, to, 16));
	note("len0", raw_connect(fd, to, 0));
	note("len15", raw_connect(fd, to, 15));
	note("len129", raw_connect(fd, big, 129));
	note("huge", raw_connect(fd, big, 0x7fffffff));
	note("negative", raw_connect(fd, big, -1));
	other.sin_family = AF_UNSPEC;
	note("unspec", raw_connect(fd, &other, 16));
	other.sin_family = AF_INET6;
	note("short6", raw_connect(fd, &other, 16));
	other.sin_family = 77;
	note("family77", raw_connect(fd, &other, 16));
	close(fd);
}

static void note_states(const struct sockaddr_in *to) {
	int server = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000501)};
	socklen_t n = sizeof own;
	bind(server, (struct sockaddr *)&own, sizeof own);
	listen(server, 1);
	getsockname(server, (struct sockaddr *)&own, &n);
	note("listening", raw_connect(server, to, 16));
	note("connect", raw_connect(fd, &own, 16));
	note("connected", raw_connect(fd, to, 16));
	note("tcp6", raw_connect(socket(AF_INET6, SOCK_STREAM, 0), &own, 16));
	int udp = socket(AF_INET, SOCK_DGRAM, 0);
	note("udp", raw_connect(udp, to, 16));
	note("listenudp", listen(udp, 1));
	note("listenbad", listen(-1, 1));
	note("listenfile", listen(1, 1));
	note("listenconnected", listen(fd, 1));
	note("bindbad", syscall(SYS_bind, fd, (void *)8, 16));
	note("bindtwice", syscall(SYS_bind, server, &own, 16));
	note("bindshort", syscall(SYS_bind, socket(AF_INET, SOCK_STREAM, 0), &own, 8));
}

static void note_unix(void) {
	struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "/nonexistent/socket"};
	char name[16];
	int lengths[] = {2, 3, 16, 24, 28, 64, 109, 110, 111, 128};
	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		char big[128] = {0};
		memcpy(big, &un, sizeof un);
		snprintf(name, sizeof name, "unix%d", lengths[i]);
		note(name, raw_connect(socket(AF_UNIX, SOCK_STREAM, 0), big, lengths[i]));
	}
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	note("listenunbound", listen(fd, 1));
	// Abstract, and another one in each actor (unix(7)).
	memset(un.sun_path, 0, sizeof un.sun_path);
	snprintf(un.sun_path + 1, sizeof un.sun_path - 1, "upall-actor-%d", getpid());
	note("bindunix", bind(fd, (struct sockaddr *)&un, sizeof un));
	note("listenunix", listen(fd, 1));
	note("connectunix", raw_connect(socket(AF_UNIX, SOCK_STREAM, 0), &un, sizeof un));
}

const char *malformed(char **w) {
	struct sockaddr_storage to;
	address(w[1], w[2], &to);
	report[0] = 0;
	note_addresses((struct sockaddr_in *)&to);
	note_states((struct sockaddr_in *)&to);
	note_unix();
	return report;
}
