// A program that a benchmark drives over a unix socket. It is both what runs
// under upall and what runs without, and takes its own times: CLOCK_MONOTONIC,
// in nanoseconds, the same clock in every process.
//
//   worker SOCKET NAME
//
// It says NAME, then answers each line, a command, with one line of numbers:
//
//   drop HOST PORT            listen; a thread accepts and closes -> port
//   sink HOST PORT            listen; a thread reads each connection to its end -> port
//   connect HOST PORT N US    N connects, US microseconds apart -> time of each
//   threads HOST PORT N T     N connects from each of T threads at once -> time of all
//   send HOST PORT BYTES      send to a sink, until it has read all -> time
//   getppid N, write N        N system calls -> time of all
//   listen HOST PORT BACKLOG N  listen, accept N, a byte to each -> before, after the listen
//   hold HOST PORT T          T threads connect and read the byte -> T times (connected, read)
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { CHUNK = 64 << 10, STACK = 64 << 10, DEEP = 4096 };

static FILE *answer;

static long now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000L + t.tv_nsec;
}

static struct sockaddr_in resolve(const char *host, int port) {
	struct addrinfo want = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found;
	int e = getaddrinfo(host, NULL, &want, &found);
	if (e)
		errx(1, "resolve %s: %s", host, gai_strerror(e));
	struct sockaddr_in addr = *(struct sockaddr_in *)found->ai_addr;
	freeaddrinfo(found);
	addr.sin_port = htons(port);
	return addr;
}

static int new_socket(void) {
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		err(1, "socket");
	return fd;
}

// leave closes with a reset: tens of thousands of sockets in TIME_WAIT would
// use up the ports.
static void leave(int fd) {
	struct linger l = {.l_onoff = 1};
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
	close(fd);
}

static void join(int fd, const struct sockaddr_in *to) {
	if (connect(fd, (const struct sockaddr *)to, sizeof *to))
		err(1, "connect");
}

static int bound(const char *host, int port) {
	struct sockaddr_in addr = resolve(host, port);
	int fd = new_socket(), on = 1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (bind(fd, (struct sockaddr *)&addr, sizeof addr))
		err(1, "bind %s %d", host, port);
	return fd;
}

static void *drop(void *listener) {
	for (int fd; (fd = accept((long)listener, NULL, NULL)) >= 0;)
		close(fd);
	err(1, "accept");
}

static void *sink(void *listener) {
	static char buf[CHUNK];
	for (int fd; (fd = accept((long)listener, NULL, NULL)) >= 0; close(fd))
		while (read(fd, buf, sizeof buf) > 0)
			;
	err(1, "accept");
}

static void serve(const char *host, int port, void *(*with)(void *)) {
	pthread_t t;
	struct sockaddr_in addr;
	socklen_t size = sizeof addr;
	int fd = bound(host, port);
	if (listen(fd, DEEP) || getsockname(fd, (struct sockaddr *)&addr, &size))
		err(1, "listen");
	pthread_create(&t, NULL, with, (void *)(long)fd);
	fprintf(answer, "%d", ntohs(addr.sin_port));
}

static void connects(const char *host, int port, int n, int pause) {
	struct sockaddr_in to = resolve(host, port);
	struct timespec nap = {.tv_nsec = pause * 1000L};
	for (int i = 0; i < n; i++) {
		int fd = new_socket();
		long begin = now();
		join(fd, &to);
		fprintf(answer, "%ld ", now() - begin);
		leave(fd);
		if (pause)
			nanosleep(&nap, NULL);
	}
}

static struct {
	struct sockaddr_in to;
	pthread_barrier_t start;
	int n;
	long (*times)[2];
} crowd;

static void *busy(void *arg) {
	pthread_barrier_wait(&crowd.start);
	for (int i = 0; i < crowd.n; i++) {
		int fd = new_socket();
		join(fd, &crowd.to);
		leave(fd);
	}
	return arg;
}

static void *held(void *number) {
	char byte;
	int fd = new_socket();
	long *times = crowd.times[(long)number];
	pthread_barrier_wait(&crowd.start);
	join(fd, &crowd.to);
	times[0] = now();
	if (read(fd, &byte, 1) != 1)
		err(1, "read");
	times[1] = now();
	leave(fd);
	return NULL;
}

// together runs many threads at once and returns how long that took.
static long together(int threads, void *(*run)(void *)) {
	pthread_t ids[threads];
	pthread_attr_t small;
	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, STACK);
	pthread_barrier_init(&crowd.start, NULL, threads + 1);
	for (long i = 0; i < threads; i++)
		if (pthread_create(&ids[i], &small, run, (void *)i))
			errx(1, "cannot make %d threads", threads);
	long begin = now();
	pthread_barrier_wait(&crowd.start);
	for (int i = 0; i < threads; i++)
		pthread_join(ids[i], NULL);
	return now() - begin;
}

static void send_bytes(const char *host, int port, long bytes) {
	static char buf[CHUNK];
	struct sockaddr_in to = resolve(host, port);
	int fd = new_socket();
	join(fd, &to);
	long begin = now();
	for (ssize_t n; bytes > 0; bytes -= n)
		if ((n = write(fd, buf, bytes < CHUNK ? bytes : CHUNK)) < 0)
			err(1, "write");
	shutdown(fd, SHUT_WR);
	if (read(fd, buf, 1) != 0)
		err(1, "read");
	fprintf(answer, "%ld", now() - begin);
	close(fd);
}

static void calls(int is_write, int n) {
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	long begin = now();
	for (int i = 0; i < n; i++)
		if (is_write ? write(null, "", 1) != 1 : syscall(SYS_getppid) < 0)
			err(1, "call");
	fprintf(answer, "%ld", now() - begin);
	close(null);
}

static void listens(const char *host, int port, int backlog, int n) {
	int fd = bound(host, port);
	long before = now();
	if (listen(fd, backlog))
		err(1, "listen");
	long after = now();
	for (int i = 0; i < n; i++) {
		int conn = accept(fd, NULL, NULL);
		if (conn < 0 || write(conn, "", 1) != 1)
			err(1, "accept");
		close(conn);
	}
	fprintf(answer, "%ld %ld", before, after);
}

static void hold(const char *host, int port, int threads) {
	crowd.to = resolve(host, port);
	crowd.times = calloc(threads, sizeof *crowd.times);
	together(threads, held);
	for (int i = 0; i < threads; i++)
		fprintf(answer, "%ld %ld ", crowd.times[i][0], crowd.times[i][1]);
	free(crowd.times);
}

static void obey(const char *line) {
	char verb[16] = "", host[64] = "";
	long a = 0, b = 0, c = 0;
	if (sscanf(line, "getppid %ld", &a) == 1)
		return calls(0, a);
	if (sscanf(line, "write %ld", &a) == 1)
		return calls(1, a);
	if (sscanf(line, "%15s %63s %ld %ld %ld", verb, host, &a, &b, &c) < 3)
		errx(1, "unknown command %s", line);
	if (!strcmp(verb, "drop"))
		return serve(host, a, drop);
	if (!strcmp(verb, "sink"))
		return serve(host, a, sink);
	if (!strcmp(verb, "connect"))
		return connects(host, a, b, c);
	if (!strcmp(verb, "send"))
		return send_bytes(host, a, b);
	if (!strcmp(verb, "listen"))
		return listens(host, a, b, c);
	if (!strcmp(verb, "hold"))
		return hold(host, a, b);
	if (strcmp(verb, "threads"))
		errx(1, "unknown command %s", line);
	crowd.to = resolve(host, a);
	crowd.n = b;
	fprintf(answer, "%ld", together(c, busy));
}

int main(int argc, char **argv) {
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (argc != 3 || fd < 0)
		errx(2, "usage: worker SOCKET NAME");
	strncpy(addr.sun_path, argv[1], sizeof addr.sun_path - 1);
	if (connect(fd, (struct sockaddr *)&addr, sizeof addr))
		err(1, "connect to %s", argv[1]);
	struct rlimit files;
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	FILE *commands = fdopen(fd, "r");
	answer = fdopen(dup(fd), "w");
	fprintf(answer, "%s\n", argv[2]);
	fflush(answer);
	for (char line[256]; fgets(line, sizeof line, commands);) {
		obey(line);
		fputc('\n', answer);
		fflush(answer);
	}
}
