/* Connects once and exchanges one line.
 *
 *     connect blocking|nonblock|sndtimeo HOST PORT
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define TIMEOUT_SECONDS 60

static struct timespec began;

static long elapsed_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec - began.tv_sec) * 1000 + (now.tv_nsec - began.tv_nsec) / 1000000;
}

static void fail(const char *what, int error)
{
	printf("error %s: %s after=%ld\n", what, strerror(error), elapsed_ms());
	exit(1);
}

static struct addrinfo *resolve(const char *host, const char *port)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct addrinfo *found;
	int code = getaddrinfo(host, port, &hints, &found);

	if (code != 0) {
		printf("error getaddrinfo: %s after=%ld\n", gai_strerror(code), elapsed_ms());
		exit(1);
	}
	return found;
}

static void connect_nonblock(int fd, const struct addrinfo *to)
{
	struct pollfd wait = {.fd = fd, .events = POLLOUT};
	int error = 0;
	socklen_t length = sizeof error;

	fcntl(fd, F_SETFL, O_NONBLOCK);
	if (connect(fd, to->ai_addr, to->ai_addrlen) != 0) {
		if (errno != EINPROGRESS)
			fail("connect", errno);
		if (poll(&wait, 1, TIMEOUT_SECONDS * 1000) != 1)
			fail("poll", ETIMEDOUT);
		getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
		if (error != 0)
			fail("connect", error);
	}
	fcntl(fd, F_SETFL, 0);
}

int main(int argc, char **argv)
{
	struct timeval limit = {.tv_sec = TIMEOUT_SECONDS};
	struct addrinfo *to;
	char answer[5];
	size_t have = 0;
	int fd;

	if (argc != 4)
		return 2;
	clock_gettime(CLOCK_MONOTONIC, &began);
	to = resolve(argv[2], argv[3]);
	fd = socket(to->ai_family, SOCK_STREAM, 0);
	if (fd < 0)
		fail("socket", errno);
	if (strcmp(argv[1], "sndtimeo") == 0)
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
	if (strcmp(argv[1], "nonblock") == 0)
		connect_nonblock(fd, to);
	else if (connect(fd, to->ai_addr, to->ai_addrlen) != 0)
		fail("connect", errno);
	if (write(fd, "ping\n", 5) != 5)
		fail("write", errno);
	while (have < sizeof answer) {
		ssize_t n = read(fd, answer + have, sizeof answer - have);

		if (n <= 0)
			fail("read", n < 0 ? errno : EPIPE);
		have += (size_t)n;
	}
	if (memcmp(answer, "pong\n", sizeof answer) != 0)
		fail("answer", EPROTO);
	printf("ok %ld\n", elapsed_ms());
	return 0;
}
