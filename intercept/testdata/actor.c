// The actor performs system calls on command, for the tests of this package:
// they tell it what to do and see what a program would see. It reads lines
//
//   ID MODE VERB ARGUMENT...
//
// and answers each with "ID RESULT" when it is done, RESULT being "ok", a number,
// data, or the name of an errno. MODE says who performs it:
//
//   -   the main thread, after what it was told before
//   t   a thread of its own
//   u   a thread of its own that has a file table of its own
//   f   a forked child, which ends when it has answered
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "actor.h"

#define WORDS 12

static void answer(const char *id, const char *format, ...) {
	char text[1024], line[1100];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	int n = snprintf(line, sizeof line, "%s %s\n", id, text);
	if (write(1, line, n) != n) // one write, so that lines stay whole
		_exit(1);
}

const char *errno_name(int code) {
	const char *name = strerrorname_np(code);
	return name ? name : "0";
}

static void result(const char *id, long value) {
	if (value < 0)
		answer(id, "%s", errno_name(errno));
	else if (value == 0)
		answer(id, "ok");
	else
		answer(id, "%ld", value);
}

socklen_t address(const char *ip, const char *port, struct sockaddr_storage *to) {
	memset(to, 0, sizeof *to);
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)to;
	struct sockaddr_in *in = (struct sockaddr_in *)to;
	if (inet_pton(AF_INET6, ip, &in6->sin6_addr) == 1) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(atoi(port));
		return sizeof *in6;
	}
	inet_pton(AF_INET, ip, &in->sin_addr);
	in->sin_family = AF_INET;
	in->sin_port = htons(atoi(port));
	return sizeof *in;
}

static void name_of(const char *id, int fd) {
	struct sockaddr_storage at;
	socklen_t n = sizeof at;
	char text[INET6_ADDRSTRLEN];
	if (getsockname(fd, (struct sockaddr *)&at, &n)) {
		result(id, -1);
	} else if (at.ss_family == AF_INET6) {
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&at;
		answer(id, "[%s]:%d", inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof text), ntohs(in6->sin6_port));
	} else {
		struct sockaddr_in *in = (struct sockaddr_in *)&at;
		answer(id, "%s:%d", inet_ntop(AF_INET, &in->sin_addr, text, sizeof text), ntohs(in->sin_port));
	}
}

static volatile sig_atomic_t signals;

static void on_signal(int sig) {
	(void)sig;
	signals++;
}

// send_open is "sendto FD IP PORT DATA", or sendmsg, with MSG_FASTOPEN.
static long send_open(char **w, int as_message) {
	struct sockaddr_storage to;
	socklen_t n = address(w[2], w[3], &to);
	struct iovec data = {w[4], strlen(w[4])};
	struct msghdr m = {.msg_name = &to, .msg_namelen = n, .msg_iov = &data, .msg_iovlen = 1};
	if (as_message)
		return sendmsg(atoi(w[1]), &m, MSG_FASTOPEN);
	return sendto(atoi(w[1]), w[4], strlen(w[4]), MSG_FASTOPEN, (struct sockaddr *)&to, n);
}

// open_socket is "socket 4|6|unix stream|dgram [PROTOCOL [nonblock]]".
static int open_socket(char **w) {
	int family = !strcmp(w[1], "6") ? AF_INET6 : !strcmp(w[1], "4") ? AF_INET : AF_UNIX;
	int type = !strcmp(w[2], "stream") ? SOCK_STREAM : SOCK_DGRAM;
	if (w[3] && w[4])
		type |= SOCK_NONBLOCK;
	return socket(family, type, w[3] ? atoi(w[3]) : 0);
}

static int get_option(const char *id, char **w) {
	int value = 0;
	socklen_t n = sizeof value;
	if (getsockopt(atoi(w[1]), atoi(w[2]), atoi(w[3]), &value, &n))
		return -1;
	answer(id, "%d", value);
	return 0;
}

static int set_option(char **w) {
	int value = atoi(w[4]);
	return setsockopt(atoi(w[1]), atoi(w[2]), atoi(w[3]), &value, sizeof value);
}

static int send_timeout(char **w) {
	int ms = atoi(w[2]);
	struct timeval tv = {ms / 1000, ms % 1000 * 1000};
	return setsockopt(atoi(w[1]), SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv);
}

// handle is "handle SIGNAL restart|interrupt".
static int handle(char **w) {
	struct sigaction act = {.sa_handler = on_signal, .sa_flags = strcmp(w[2], "restart") ? 0 : SA_RESTART};
	return sigaction(atoi(w[1]), &act, NULL);
}

// alarm_in is "alarm MS [INTERVAL_MS]".
static int alarm_in(char **w) {
	int ms = atoi(w[1]), every = w[2] ? atoi(w[2]) : 0;
	struct itimerval it = {{every / 1000, every % 1000 * 1000}, {ms / 1000, ms % 1000 * 1000}};
	return setitimer(ITIMER_REAL, &it, NULL);
}

static void receive(const char *id, char **w) {
	char data[256];
	ssize_t n = read(atoi(w[1]), data, sizeof data - 1);
	if (n < 0) {
		result(id, -1);
		return;
	}
	data[n] = 0;
	answer(id, n ? "%s" : "end", data);
}

// swap is "swap FD IP PORT": it connects with a new socket of that number.
static void swap(const char *id, char **w) {
	struct sockaddr_storage to;
	socklen_t n = address(w[2], w[3], &to);
	int fd = atoi(w[1]);
	close(fd);
	if (socket(AF_INET, SOCK_STREAM, 0) != fd)
		answer(id, "another number");
	else
		result(id, connect(fd, (struct sockaddr *)&to, n));
}

// work is "work FD BACKLOG": as a worker does, listen on an inherited socket and
// serve one client. The first answer would be the only one, so it has none before.
static void work(const char *id, char **w) {
	int fd = atoi(w[1]), conn = -1;
	char data[16];
	if (listen(fd, atoi(w[2])) || (conn = accept(fd, NULL, NULL)) < 0)
		result(id, -1);
	else
		result(id, read(conn, data, sizeof data));
}

// await is "poll FD in|out": it waits, and answers with SO_ERROR.
static void await(const char *id, char **w) {
	struct pollfd p = {.fd = atoi(w[1]), .events = strcmp(w[2], "in") ? POLLOUT : POLLIN};
	while (poll(&p, 1, -1) < 0 && errno == EINTR)
		;
	int code = 0;
	socklen_t n = sizeof code;
	getsockopt(p.fd, SOL_SOCKET, SO_ERROR, &code, &n);
	if (code)
		answer(id, "%s", errno_name(code));
	else
		answer(id, p.revents & POLLHUP ? "hangup" : "ok");
}

static int perform_socket_call(const char *id, char **w) {
	struct sockaddr_storage to;
	int fd = w[1] ? atoi(w[1]) : -1;
	if (!strcmp(w[0], "socket"))
		result(id, open_socket(w));
	else if (!strcmp(w[0], "connect")) {
		socklen_t n = address(w[2], w[3], &to);
		result(id, connect(fd, (struct sockaddr *)&to, n));
	} else if (!strcmp(w[0], "bind")) {
		socklen_t n = address(w[2], w[3], &to);
		result(id, bind(fd, (struct sockaddr *)&to, n));
	} else if (!strcmp(w[0], "listen"))
		result(id, listen(fd, atoi(w[2])));
	else if (!strcmp(w[0], "accept"))
		result(id, accept(fd, NULL, NULL));
	else if (!strcmp(w[0], "name"))
		name_of(id, fd);
	else if (!strcmp(w[0], "sendto"))
		result(id, send_open(w, 0));
	else if (!strcmp(w[0], "sendmsg"))
		result(id, send_open(w, 1));
	else if (!strcmp(w[0], "set"))
		result(id, set_option(w));
	else if (!strcmp(w[0], "get")) {
		if (get_option(id, w))
			result(id, -1);
	} else if (!strcmp(w[0], "sndtimeo"))
		result(id, send_timeout(w));
	else
		return 0;
	return 1;
}

static void perform(const char *id, char **w) {
	int fd = w[1] ? atoi(w[1]) : -1;
	if (perform_socket_call(id, w))
		return;
	if (!strcmp(w[0], "poll"))
		await(id, w);
	else if (!strcmp(w[0], "read"))
		receive(id, w);
	else if (!strcmp(w[0], "swap"))
		swap(id, w);
	else if (!strcmp(w[0], "work"))
		work(id, w);
	else if (!strcmp(w[0], "write"))
		result(id, write(fd, w[2], strlen(w[2])));
	else if (!strcmp(w[0], "close"))
		result(id, close(fd));
	else if (!strcmp(w[0], "fcntl")) // F_GETFD is 1, F_GETFL is 3
		result(id, fcntl(fd, atoi(w[2]), w[3] ? atoi(w[3]) : 0));
	else if (!strcmp(w[0], "handle"))
		result(id, handle(w));
	else if (!strcmp(w[0], "alarm"))
		result(id, alarm_in(w));
	else if (!strcmp(w[0], "signals"))
		result(id, signals);
	else if (!strcmp(w[0], "iouring")) {
		char params[120] = {0}; // struct io_uring_params
		result(id, syscall(SYS_io_uring_setup, 1, params));
	} else if (!strcmp(w[0], "crowd"))
		answer(id, "%s", crowd(w));
	else if (!strcmp(w[0], "serve"))
		result(id, serve(w));
	else if (!strcmp(w[0], "malformed"))
		answer(id, "%s", malformed(w));
	else
		answer(id, "unknown verb %s", w[0]);
}

struct order {
	char line[256], *words[WORDS + 1], mode;
};

static int to_main[2]; // a pipe of orders

static void *in_thread(void *arg) {
	struct order *o = arg;
	if (o->mode == 'u' && unshare(CLONE_FILES))
		_exit(1);
	perform(o->words[0], o->words + 2);
	free(o);
	return NULL;
}

static void obey(const char *line) {
	struct order *o = calloc(1, sizeof *o);
	char *rest;
	strncpy(o->line, line, sizeof o->line - 1);
	int n = 0;
	for (char *w = strtok_r(o->line, " \n", &rest); w && n < WORDS; w = strtok_r(NULL, " \n", &rest))
		o->words[n++] = w;
	if (n < 3)
		_exit(1);
	o->mode = o->words[1][0];
	pthread_t thread;
	if (o->mode == 'f' && fork() == 0) {
		perform(o->words[0], o->words + 2);
		_exit(0);
	} else if (o->mode == '-' && write(to_main[1], &o, sizeof o) != sizeof o)
		_exit(1);
	else if ((o->mode == 't' || o->mode == 'u') && pthread_create(&thread, NULL, in_thread, o))
		_exit(1);
}

// take_orders runs in a thread, so that the main one may block, and take signals.
static void *take_orders(void *arg) {
	char line[256];
	(void)arg;
	while (fgets(line, sizeof line, stdin))
		obey(line);
	_exit(0);
}

int main(void) {
	sigset_t all, before;
	pthread_t reader;
	struct order *o;
	signal(SIGCHLD, SIG_IGN);
	// High numbers: the descriptors that the tests name start at 3.
	if (pipe(to_main) || dup2(to_main[0], 200) < 0 || dup2(to_main[1], 201) < 0)
		return 1;
	close(to_main[0]);
	close(to_main[1]);
	to_main[0] = 200;
	to_main[1] = 201;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before); // for the reader and all that it starts
	if (pthread_create(&reader, NULL, take_orders, NULL))
		return 1;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	for (;;) {
		ssize_t n = read(to_main[0], &o, sizeof o);
		if (n < 0 && errno == EINTR)
			continue;
		if (n != sizeof o)
			return 1;
		perform(o->words[0], o->words + 2);
		free(o);
	}
}
