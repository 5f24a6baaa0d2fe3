// Executing a container's program as Docker's runtime does: along the image's
// PATH, and a script without "#!" is not run by a shell.
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shim.h"

static int is_program(const char *path) {
	struct stat st;
	return !stat(path, &st) && !S_ISDIR(st.st_mode) && st.st_mode & 0111;
}

// find fills path with the first program of that name in PATH.
static int find(const char *name, char *path, size_t size) {
	const char *dirs = getenv("PATH");
	while (dirs && *dirs) {
		int n = strcspn(dirs, ":");
		int length = n ? snprintf(path, size, "%.*s/%s", n, dirs, name) : snprintf(path, size, "%s", name);
		if (length > 0 && (size_t)length < size && is_program(path))
			return 1;
		dirs += n + (dirs[n] == ':');
	}
	return 0;
}

// refuse says why there is nothing to execute.
static void refuse(int code, const char *name, const char *why) {
	dprintf(2, "upall: exec: \"%s\": %s\n", name, why);
	_exit(code);
}

void upall_execute(char **command, char **envp) {
	char found[PATH_MAX];
	struct stat st;
	const char *name = command[0], *path = name;
	if (!strchr(name, '/')) {
		if (!find(name, found, sizeof found))
			refuse(EXIT_NOT_FOUND, name, "executable file not found in $PATH");
		path = found;
	} else if (stat(path, &st)) {
		refuse(errno == ENOENT || errno == ENOTDIR ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE, path, strerror(errno));
	} else if (!is_program(path)) {
		refuse(EXIT_NOT_EXECUTABLE, path, strerror(S_ISDIR(st.st_mode) ? EISDIR : EACCES));
	}
	execve(path, command, envp);
	dprintf(2, "upall: exec %s: %s\n", path, strerror(errno));
	_exit(EXIT_EXEC);
}
