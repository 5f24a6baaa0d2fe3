#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keeper.h"

// enter_one moves this process into one namespace of another, if it is not there.
static int enter_one(int pid, const char *name) {
	char own[64], path[64];
	struct stat mine, its;
	snprintf(own, sizeof own, "/proc/self/ns/%s", name);
	snprintf(path, sizeof path, "/proc/%d/ns/%s", pid, name);
	if (stat(own, &mine) || stat(path, &its))
		return -1;
	if (mine.st_ino == its.st_ino)
		return 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	int failed = setns(fd, 0);
	close(fd);
	return failed;
}

// The mount namespace comes last: /proc is another one there.
const char *keeper_enter(const char *where) {
	int pid = 0;
	unsigned long pid_namespace = 0;
	struct stat own;
	errno = EINVAL;
	if (sscanf(where, "%d:%lu", &pid, &pid_namespace) != 2 || stat("/proc/self/ns/pid", &own))
		return "enter the namespaces of `upall up`";
	errno = EXDEV;
	if (own.st_ino != pid_namespace)
		return "run processes beside containers for an `upall up` that is in a container itself";
	const char *names[] = {"net", "uts", "ipc", "mnt"};
	for (int i = 0; i < 4; i++)
		if (enter_one(pid, names[i]))
			return "enter the namespaces of `upall up`";
	return NULL;
}
