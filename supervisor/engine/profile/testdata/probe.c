// Probe tries system calls with arguments that do no harm, each in a child, and
// prints how they were denied, one line each: a name and 1 for EPERM, 2 for
// ENOSYS, 0 for all else.
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static int denied(long result) {
	if (result != -1)
		return 0;
	return errno == EPERM ? 1 : errno == ENOSYS ? 2 : 0;
}

// try runs in a child, which may not return from the call.
static void try(const char *name, long nr, long a, long b, long c) {
	pid_t pid = fork();
	if (pid == 0) {
		const struct itimerval soon = {.it_value = {.tv_usec = 100000}};
		setitimer(ITIMER_REAL, &soon, NULL);
		errno = 0;
		_exit(denied(syscall(nr, a, b, c, -1, -1, -1)));
	}
	int status = 0;
	waitpid(pid, &status, 0);
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
	printf("%s %d\n", name, code == 1 || code == 2 ? code : 0);
	fflush(stdout); // before the next fork
}

int main(void) {
	char name[32];
	for (long nr = 0; nr <= 500; nr++) {
		if (nr == SYS_sync || nr == SYS_vhangup)
			continue; // they take no argument that could be wrong
		snprintf(name, sizeof name, "%ld", nr);
		try(name, nr, -1, -1, -1);
	}
	for (long family = 0; family < 48; family++) {
		snprintf(name, sizeof name, "socket-%ld", family);
		try(name, SYS_socket, family, SOCK_STREAM, 0);
	}
	const long personalities[] = {0, 8, 0x20000, 0x20008, 0x40000, 0x1234};
	for (size_t i = 0; i < sizeof personalities / sizeof *personalities; i++) {
		snprintf(name, sizeof name, "personality-%lx", personalities[i]);
		try(name, SYS_personality, personalities[i], -1, -1);
	}
	const long spaces[] = {0, CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET, CLONE_NEWCGROUP};
	for (size_t i = 0; i < sizeof spaces / sizeof *spaces; i++) {
		snprintf(name, sizeof name, "clone-%lx", spaces[i]);
		try(name, SYS_clone, spaces[i] | SIGCHLD, 0, 0);
		snprintf(name, sizeof name, "unshare-%lx", spaces[i]);
		try(name, SYS_unshare, spaces[i], 0, 0);
	}
	return 0;
}
