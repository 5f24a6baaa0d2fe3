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
//   optional=1    ... if that can be had; and execute as Docker does, not as a
//                 shell does: for containers (intercept.c, execute.c)
//   gid= groups= uid=   become that user
//
// then executes the program. It must not allocate much, and never returns once
// it has recognised its name, which is the last part of argv[0]. In a container
// it needs nothing of the image: no library, no /proc, nothing that is writable.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shim.h"

#define NAME "upall-shim"
#define MAX_GROUPS 64

void upall_die(int code, const char *what) {
	dprintf(2, "upall: %s: %s\n", what, strerror(errno));
	_exit(code);
}

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
		value(argv, "killable"), value(argv, "socket"), value(argv, "state"), value(argv, "optional"),
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

static int is_shim(const char *name) {
	const char *slash = strrchr(name, '/');
	return !strcmp(slash ? slash + 1 : name, NAME);
}

__attribute__((constructor)) static void shim(int argc, char **argv, char **envp) {
	if (argc < 1 || !is_shim(argv[0]))
		return;
	struct options o = parse(argv + 1);
	if (o.guard)
		upall_guard(atoi(o.guard));
	if (o.hosts)
		own_hosts(&o);
	if (o.filter)
		upall_intercept(&o);
	become_user(&o);
	upall_die_with_guard();
	if (o.optional)
		upall_execute(o.command, envp); // what was opened here is closed by that
	close_from(3);
	execvp(o.command[0], o.command);
	upall_die(errno == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE, o.command[0]);
}
