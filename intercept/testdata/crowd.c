// Many clients in one process, and a slow server.
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "actor.h"

#define MAX_CROWD 2000

static struct sockaddr_storage target;
static socklen_t target_length;
static int failure; // the first errno

static void *connect_blocking(void *ok) {
	int fd = socket(target.ss_family, SOCK_STREAM, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&target, target_length) == 0)
		*(char *)ok = 1;
	else
		failure = errno;
	return NULL;
}

static int with_threads(int n) {
	static pthread_t threads[MAX_CROWD];
	static char ok[MAX_CROWD];
	pthread_attr_t small;
	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 65536);
	memset(ok, 0, sizeof ok);
	for (int i = 0; i < n; i++)
		if (pthread_create(&threads[i], &small, connect_blocking, &ok[i]))
			return -1;
	int sum = 0;
	for (int i = 0; i < n; i++) {
		pthread_join(threads[i], NULL);
		sum += ok[i];
	}
	return sum;
}

static int without_blocking(int n) {
	static struct pollfd p[MAX_CROWD];
	for (int i = 0; i < n; i++) {
		p[i].fd = socket(target.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
		p[i].events = POLLOUT;
		if (connect(p[i].fd, (struct sockaddr *)&target, target_length) && errno != EINPROGRESS)
			failure = errno;
	}
	int ok = 0;
	for (int left = n; left > 0;) {
		if (poll(p, n, -1) < 0)
			return -1;
		for (int i = 0; i < n; i++) {
			int code;
			socklen_t size = sizeof code;
			if (p[i].fd < 0 || !p[i].revents)
				continue;
			getsockopt(p[i].fd, SOL_SOCKET, SO_ERROR, &code, &size);
			if (code)
				failure = code;
			ok += !code;
			p[i].fd = -1; // stays open
			left--;
		}
	}
	return ok;
}

const char *crowd(char **w) {
	static char text[64];
	int n = atoi(w[2]);
	if (n > MAX_CROWD)
		return "too many";
	target_length = address(w[3], w[4], &target);
	failure = 0;
	int ok = strcmp(w[1], "threads") ? without_blocking(n) : with_threads(n);
	snprintf(text, sizeof text, "%d %s", ok, failure ? errno_name(failure) : "ok");
	return text;
}

long serve(char **w) {
	int fd = atoi(w[1]), n = atoi(w[2]);
	for (int i = 0; i < n; i++) {
		if (accept(fd, NULL, NULL) < 0)
			return -1;
		usleep(atoi(w[3]));
	}
	return n;
}
