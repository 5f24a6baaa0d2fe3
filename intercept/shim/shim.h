// Shared between the shim and the guard.
#ifndef UPALL_SHIM_H
#define UPALL_SHIM_H

// Exit codes of the shim itself, as `docker run` has them.
enum { EXIT_SETUP = 125, EXIT_NOT_EXECUTABLE = 126, EXIT_NOT_FOUND = 127 };

// die prints "upall: WHAT: reason" to stderr and exits with code.
void upall_die(int code, const char *what);

// upall_guard forks. The child returns; the parent stays as the guard of all
// that descends from it and never returns. control is the guard's end of the
// socket pair.
void upall_guard(int control);

// upall_die_with_guard has the kernel kill the caller when its guard dies.
void upall_die_with_guard(void);

#endif
