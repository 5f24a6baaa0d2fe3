// The guard is the parent of a service's program in the process runtime. It is
// the reaper of every process that descends from it, so that nothing outlives
// the service, and it ends them all when upall goes away, however that happens:
// when nobody has the other end of its control socket any more.
//
//   upall                                guard                    program
//     | <---- pid of the program (int) ---- | ---- fork ------------> |
//     | ---- byte 1..64: that signal -----> | ---- to its group ----> |
//     | ---- byte 255: kill all ----------> | ---- SIGKILL ---------> |
//     | (end of file: upall is gone) -----> | ---- SIGKILL ---------> |
//     | <-- exit code (int), 128+N for signal N
//
// The code is written too because an upall that was started after a crash is not
// the parent of the guard.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shim.h"

#define KILL_ALL 255

static void on_child(int sig) { (void)sig; }

static pid_t parent_of(const char *pid) {
	char path[64], stat[512];
	snprintf(path, sizeof path, "/proc/%.20s/stat", pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	ssize_t n = read(fd, stat, sizeof stat - 1);
	close(fd);
	if (n <= 0)
		return -1;
	stat[n] = 0;
	char *rest = strrchr(stat, ')'); // the name before it may hold anything
	int ppid;
	return rest && sscanf(rest + 1, " %*c %d", &ppid) == 1 ? ppid : -1;
}

// kill_children kills the direct children. Theirs become ours when they die, so
// repeating it reaches every descendant.
static void kill_children(void) {
	DIR *proc = opendir("/proc");
	if (!proc)
		return;
	struct dirent *e;
	while ((e = readdir(proc)))
		if (e->d_name[0] >= '1' && e->d_name[0] <= '9' && parent_of(e->d_name) == getpid())
			kill(atoi(e->d_name), SIGKILL);
	closedir(proc);
}

static void kill_descendants(void) {
	do
		kill_children();
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR);
}

// end tells how the program has ended. Nobody may be there to read it.
static void end(int control, int code) {
	send(control, &code, sizeof code, MSG_NOSIGNAL);
	_exit(code);
}

static int exit_code(int status) { return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status); }

// reap collects the dead and returns the program's wait status, -1 while it lives.
static int reap(pid_t program) {
	int status;
	pid_t pid;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (pid == program)
			return status;
	return -1;
}

static void drop_files(int control) {
	int null = open("/dev/null", O_RDWR);
	for (int fd = 0; fd < 3; fd++)
		dup2(null, fd); // else the reader of the service's output would wait for us
	dup2(control, 3);
	syscall(SYS_close_range, 4, ~0U, 0);
}

static void guard(pid_t program) {
	const int control = 3;
	sigset_t none;
	sigemptyset(&none);
	for (;;) {
		int status = reap(program);
		if (status >= 0) {
			kill_descendants();
			end(control, exit_code(status));
		}
		struct pollfd p = {.fd = control, .events = POLLIN};
		if (ppoll(&p, 1, NULL, &none) <= 0)
			continue;
		unsigned char order;
		ssize_t n = read(control, &order, 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			kill_descendants();
			_exit(128 + SIGKILL);
		}
		if (order == KILL_ALL)
			kill_children();
		else if (kill(-program, order))
			kill(program, order); // its group is not made yet
	}
}

static pid_t guard_pid;

// upall_die_with_guard comes after every change of credentials, for those clear
// the setting (prctl(2), PR_SET_PDEATHSIG).
void upall_die_with_guard(void) {
	if (!guard_pid)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != guard_pid)
		_exit(128 + SIGKILL);
}

void upall_guard(int control) {
	setsid(); // the terminal's signals are for upall
	sigset_t child;
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL); // delivered in ppoll only
	struct sigaction act = {.sa_handler = on_child};
	sigaction(SIGCHLD, &act, NULL);
	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
		upall_die(EXIT_SETUP, "become the reaper of the service");
	pid_t self = getpid(), program = fork();
	if (program < 0)
		upall_die(EXIT_SETUP, "fork");
	if (program == 0) {
		guard_pid = self;
		close(control);
		setsid();
		signal(SIGCHLD, SIG_DFL);
		sigprocmask(SIG_UNBLOCK, &child, NULL);
		return;
	}
	if (write(control, &program, sizeof program) < 0)
		_exit(EXIT_SETUP);
	drop_files(control);
	prctl(PR_SET_NAME, "upall-guard");
	guard(program);
}
