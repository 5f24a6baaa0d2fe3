// The shim runs in front of a service's program, in a constructor: before the
// Go runtime of this binary starts, which would cost milliseconds. It is
// called as
//
//   upall-shim KEY=VALUE... -- PROGRAM ARGUMENT...
//
// and does, in this order, what the keys ask for:
//
//   guard=FD      stay behind as the guard of the program (guard.c)
//   hosts=FILE    an own mount namespace in which FILE is /etc/hosts
//   userns=1      ... inside an own user namespace, for callers without privilege
//   filter=FILE   install this seccomp filter,
//   killable=1    ... with WAIT_KILLABLE_RECV,
//   socket=PATH   ... hand its notification fd over on this unix socket,
//   state=FILE    ... with these bytes (see seccomp/handover.go)
//   gid= groups= uid=   become that user
//
// then executes the program. It must not allocate much, and never returns once
// it has recognised its name.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "shim.h"

#ifndef SECCOMP_FILTER_FLAG_NEW_LISTENER
#define SECCOMP_FILTER_FLAG_NEW_LISTENER (1UL << 3)
#endif
#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

#define NAME "upall-shim"
#define MAX_FILE 65536
#define MAX_GROUPS 64

void upall_die(int code, const char *what) {
	dprintf(2, "upall: %s: %s\n", what, strerror(errno));
	_exit(code);
}

struct options {
	const char *guard, *hosts, *userns, *filter, *killable, *socket, *state, *uid, *gid, *groups;
	char **command;
};

static const char *value(char **argv, const char *key) {
	size_t n = strlen(key);
	for (char **a = argv; *a && strcmp(*a, "--"); a++)
		if (!strncmp(*a, key, n) && (*a)[n] == '=')
			return *a + n + 1;
	return NULL;
}

static struct options parse(char **argv) {
	struct options o = {
		value(argv, "guard"), value(argv, "hosts"), value(argv, "userns"), value(argv, "filter"),
		value(argv, "killable"), value(argv, "socket"), value(argv, "state"),
		value(argv, "uid"), value(argv, "gid"), value(argv, "groups"), argv,
	};
	while (*o.command && strcmp(*o.command, "--"))
		o.command++;
	if (!*o.command || !*++o.command) {
		errno = EINVAL;
		upall_die(EXIT_SETUP, "no program given to " NAME);
	}
	return o;
}

static size_t read_file(const char *path, char *buf, size_t size) {
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		upall_die(EXIT_SETUP, path);
	size_t n = 0;
	ssize_t r;
	while (n < size && (r = read(fd, buf + n, size - n)) > 0)
		n += r;
	close(fd);
	return n;
}

static void write_file(const char *path, const char *text) {
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		upall_die(EXIT_SETUP, path);
	close(fd);
}

// own_hosts: only the owner's own ids are mapped, so the program sees itself as
// the user that it is. Mounts of the host keep arriving (MS_SLAVE), ours do not
// leave.
static void own_hosts(const struct options *o) {
	char map[64];
	uid_t uid = geteuid();
	gid_t gid = getegid();
	if (unshare(CLONE_NEWNS | (o->userns ? CLONE_NEWUSER : 0)))
		upall_die(EXIT_SETUP, "make a mount namespace for /etc/hosts");
	if (o->userns) {
		write_file("/proc/self/setgroups", "deny");
		snprintf(map, sizeof map, "%d %d 1", gid, gid);
		write_file("/proc/self/gid_map", map);
		snprintf(map, sizeof map, "%d %d 1", uid, uid);
		write_file("/proc/self/uid_map", map);
	}
	if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL))
		upall_die(EXIT_SETUP, "keep mounts to this namespace");
	if (mount(o->hosts, "/etc/hosts", NULL, MS_BIND, NULL))
		upall_die(EXIT_SETUP, "mount the names of the project on /etc/hosts");
}

static int connect_agent(const char *path) {
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	strncpy(addr.sun_path, path, sizeof addr.sun_path - 1);
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof addr))
		upall_die(EXIT_SETUP, "connect to the interceptor");
	return fd;
}

static int install_filter(const struct options *o) {
	static char program[MAX_FILE];
	size_t n = read_file(o->filter, program, sizeof program);
	struct sock_fprog prog = {.len = n / sizeof(struct sock_filter), .filter = (struct sock_filter *)program};
	unsigned long flags = SECCOMP_FILTER_FLAG_NEW_LISTENER;
	if (o->killable)
		flags |= SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
	int fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &prog);
	if (fd < 0 && errno == EACCES) {
		// No CAP_SYS_ADMIN: the kernel then wants set-uid programs switched off.
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
			upall_die(EXIT_SETUP, "set no_new_privs");
		fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &prog);
	}
	if (fd < 0)
		upall_die(EXIT_SETUP, "install the seccomp filter");
	return fd;
}

// hand_over sends the state with the fd and waits until the interceptor has it.
static void hand_over(int agent, int notify, const char *state_path) {
	static char state[MAX_FILE];
	struct iovec iov = {state, read_file(state_path, state, sizeof state)};
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
	char answer;
	ssize_t n;
	while ((n = read(agent, &answer, 1)) < 0 && errno == EINTR)
		;
	if (n != 1) {
		errno = ECONNABORTED;
		upall_die(EXIT_SETUP, "the interceptor did not take the notification fd");
	}
}

static void become_user(const struct options *o) {
	gid_t groups[MAX_GROUPS];
	int n = 0;
	for (const char *s = o->groups; s && *s && n < MAX_GROUPS; n++) {
		char *end;
		groups[n] = strtoul(s, &end, 10);
		s = *end ? end + 1 : end;
	}
	if (o->groups && setgroups(n, groups))
		upall_die(EXIT_SETUP, "set the groups of the service's user");
	if (o->gid && setgid(strtoul(o->gid, NULL, 10)))
		upall_die(EXIT_SETUP, "set the group of the service's user");
	if (o->uid && setuid(strtoul(o->uid, NULL, 10)))
		upall_die(EXIT_SETUP, "set the user of the service");
}

static void close_from(int first) {
#ifdef SYS_close_range
	if (!syscall(SYS_close_range, first, ~0U, 0))
		return;
#endif
	for (int fd = first; fd < 65536; fd++)
		close(fd);
}

__attribute__((constructor)) static void shim(int argc, char **argv, char **envp) {
	(void)envp;
	if (argc < 1 || strcmp(argv[0], NAME))
		return;
	struct options o = parse(argv + 1);
	if (o.guard)
		upall_guard(atoi(o.guard));
	if (o.hosts)
		own_hosts(&o);
	if (o.filter) {
		int agent = connect_agent(o.socket); // before the filter: it would notify of this very connect
		int notify = install_filter(&o);
		hand_over(agent, notify, o.state);
	}
	become_user(&o);
	upall_die_with_guard();
	close_from(3);
	execvp(o.command[0], o.command);
	upall_die(errno == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE, o.command[0]);
}
