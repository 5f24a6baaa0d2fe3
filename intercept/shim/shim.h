// Shared between the parts of the shim.
#ifndef UPALL_SHIM_H
#define UPALL_SHIM_H

// Exit codes of the shim itself, as `docker run` has them.
// EXIT_EXEC is the runtime's for a program that is there and cannot be loaded.
enum { EXIT_EXEC = 1, EXIT_SETUP = 125, EXIT_NOT_EXECUTABLE = 126, EXIT_NOT_FOUND = 127 };

// The values of the keys (shim.c), NULL for those not given.
struct options {
	const char *guard, *hosts, *userns, *filter, *killable, *socket, *state, *optional, *uid, *gid, *groups;
	char **command;
};

// upall_die prints "upall: WHAT: reason" to stderr and exits with code.
void upall_die(int code, const char *what) __attribute__((noreturn));

// upall_guard forks. The child returns; the parent stays as the guard of all
// that descends from it and never returns. control is the guard's end of the
// socket pair.
void upall_guard(int control);

// upall_die_with_guard has the kernel kill the caller when its guard dies.
void upall_die_with_guard(void);

// upall_intercept installs the filter and hands its notification fd over. It
// returns without having done so only if that is optional.
void upall_intercept(const struct options *o);

// upall_execute executes the command as Docker's runtime does, and exits with a
// message like its own if that fails.
void upall_execute(char **command, char **envp) __attribute__((noreturn));

#endif
