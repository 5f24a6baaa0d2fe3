// The keeper is the parent of a project's supervisor. It holds what must survive
// it, and starts it again when it dies without having said that it would. Like
// the shim (intercept/shim) it runs in a constructor, before the Go runtime of
// this binary starts, so that it stays as small as it is. It is called as
//
//   upall-keeper first=FD enter=PID:INODE -- ARG0 ARGUMENT...
//
// and executes this same binary with ARG0 ARGUMENT...; what is before -- may be left
// out. first: a descriptor that the first life of the supervisor finds at 4. enter:
// in a container, a process of the host in whose namespaces all of them are to be,
// and the inode of its pid namespace. At 3 each life
// finds its end of a socket pair (SOCK_SEQPACKET):
//
//   keeper                                      supervisor
//     | ---- put NAME\0DATA, descriptors -----> |  each entry, in order
//     | ---- ready LIFE FIRST ----------------> |  that was all; LIFE counts from 1, FIRST is 1 with a descriptor at 4
//     | <------------------------------ ready - |  signals may come
//     | <---- put NAME\0DATA, descriptors ----- |  keep this, instead of what had the name
//     | <-------------------------- drop NAME - |  forget it
//     | <--------------------------- end CODE - |  the coming exit is meant: exit with CODE, too
//
// What the supervisor sent is in the socket when it dies, and is read before its
// next life starts. The keeper answers nothing, knows nothing of the entries,
// and must never fail: whatever is missing, it goes on with the rest.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "keeper.h"

#define NAME "upall-keeper"

enum { EXIT_SETUP = 125 };           // as the shim has it
enum { SOCKET_FD = 3, FIRST_FD = 4 }; // in the supervisor
enum { SHORT_LIFE = 50, PAUSE = 10, MAX_PAUSE = 1000 }; // ms
enum { MAX_TRIES = 1000 };           // of giving an entry back, 1 ms each

struct keeper {
	char **command;      // the supervisor's argv
	int first;           // for the first life, -1 if there is none or it is given
	int signals;         // signalfd
	sigset_t mask;       // the starter's
	struct rlimit files; // the starter's
	int kept;            // there has been an entry
	int end;             // the announced exit code, -1 if none is
	int asked;           // the last signal that asks the supervisor to end, 0 if none did
	long long due;       // when the next life is to start, ms
	int pause;           // before a life that follows a short one, ms
	int life;

	// Of this life:
	pid_t child; // 0 if none lives
	int socket;  // -1 when the child has closed it
	long long born;
	int has_first;
	size_t given; // entries
	int tries;    // of the next one
	int is_back;  // all entries and "ready" are on their way
	int is_ready; // takes signals
	int is_told;  // of asked
};

static void die(const char *what) {
	dprintf(2, "upall: %s: %s\n", what, strerror(errno));
	_exit(EXIT_SETUP);
}

static long long now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

// execute is what the child does. Everything else that is open here is
// close-on-exec.
static void execute(const struct keeper *k, int socket) {
	int high = fcntl(socket, F_DUPFD_CLOEXEC, FIRST_FD + 1); // clear of where first goes
	if (high < 0 || (k->first >= 0 && dup2(k->first, FIRST_FD) < 0) || dup2(high, SOCKET_FD) < 0)
		die("hand descriptors to the supervisor");
	setrlimit(RLIMIT_NOFILE, &k->files);
	sigprocmask(SIG_SETMASK, &k->mask, NULL);
	execv("/proc/self/exe", k->command);
	die("execute the supervisor");
}

// postpone lets the next life begin after a pause that grows.
static void postpone(struct keeper *k) {
	k->pause = k->pause ? 2 * k->pause : PAUSE;
	if (k->pause > MAX_PAUSE)
		k->pause = MAX_PAUSE;
	k->due = now() + k->pause;
}

static void start(struct keeper *k) {
	int pair[2];
	pid_t child = -1;
	if (!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) {
		child = fork();
		if (child == 0)
			execute(k, pair[1]);
		close(pair[1]);
		if (child < 0)
			close(pair[0]);
	}
	if (child < 0) {
		if (!k->kept)
			die("start the supervisor");
		postpone(k);
		return;
	}
	k->life++;
	k->child = child;
	k->socket = pair[0];
	k->born = now();
	k->given = 0;
	k->tries = k->is_back = k->is_ready = k->is_told = 0;
	k->has_first = k->first >= 0;
	if (k->has_first)
		close(k->first);
	k->first = -1;
}

// hang_up comes when the child has closed its end or died.
static void hang_up(struct keeper *k) {
	if (k->socket >= 0)
		close(k->socket);
	k->socket = -1;
}

// tell passes on a signal. Before a supervisor is ready it would only kill it,
// which is no way to end what has been kept.
static void tell(struct keeper *k) {
	if (!k->asked || k->is_told || !k->child || (k->kept && !k->is_ready))
		return;
	k->is_told = 1;
	kill(k->child, k->asked);
}

// give_back sends what the socket takes. Entries do not change meanwhile, for the
// supervisor reads all of them before it sends anything.
static void give_back(struct keeper *k) {
	char ready[32];
	int n = snprintf(ready, sizeof ready, "ready %d %d", k->life, k->has_first);
	while (!k->is_back) {
		int is_last = k->given == keeper_count();
		int error = is_last ? keeper_send(k->socket, ready, n, NULL, 0) : keeper_give(k->socket, k->given);
		if (error == EAGAIN)
			return;
		int is_gone = error == EPIPE || error == ECONNRESET; // its death will be told
		if (error && !is_gone && ++k->tries < MAX_TRIES) {
			poll(NULL, 0, 1); // memory, or too many descriptors in flight: others will take theirs
			continue;
		}
		k->tries = 0;
		k->is_back = is_last || is_gone;
		k->given++;
	}
}

// take reads a message and does what it says. It returns 0 when there is none.
static int take(struct keeper *k) {
	static char bytes[KEEPER_MAX_MESSAGE];
	int fds[KEEPER_MAX_FDS], count;
	size_t length;
	int is_more = keeper_receive(k->socket, bytes, &length, fds, &count);
	struct keeper_message m = keeper_parse(bytes, length);
	if (m.kind == KEEPER_PUT) {
		k->kept |= keeper_put(&m, bytes, length, fds, count);
		return is_more;
	}
	keeper_close_all(fds, count);
	if (m.kind == KEEPER_DROP)
		keeper_drop(&m);
	if (m.kind == KEEPER_END)
		k->end = m.code;
	if (m.kind == KEEPER_READY) {
		k->is_ready = 1;
		tell(k);
	}
	return is_more;
}

// bury ends a life: with it the keeper, or the next one follows.
static void bury(struct keeper *k, int status) {
	while (k->socket >= 0 && take(k))
		;
	hang_up(k);
	k->child = 0;
	if (k->end >= 0)
		_exit(k->end);
	if (!k->kept)
		_exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
	if (now() - k->born < SHORT_LIFE) {
		postpone(k);
		return;
	}
	k->pause = 0;
	k->due = now();
}

// reap collects the dead: the child, and what it left behind (PR_SET_CHILD_SUBREAPER).
static void reap(struct keeper *k) {
	int status;
	pid_t pid;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (pid == k->child)
			bury(k, status);
}

static void on_signal(struct keeper *k) {
	struct signalfd_siginfo s;
	while (read(k->signals, &s, sizeof s) == sizeof s) {
		if (s.ssi_signo == SIGCHLD)
			reap(k);
		if (s.ssi_signo == SIGTERM || s.ssi_signo == SIGINT) {
			k->asked = s.ssi_signo;
			k->is_told = 0;
			tell(k);
		}
	}
}

static void keep(struct keeper *k) {
	for (;;) {
		long long wait = k->child ? -1 : k->due - now();
		if (!k->child && wait <= 0) {
			start(k);
			continue;
		}
		struct pollfd p[] = {
			{.fd = k->signals, .events = POLLIN},
			{.fd = k->socket, .events = k->is_back ? POLLIN | POLLRDHUP : POLLOUT},
		};
		poll(p, 2, wait);
		if (p[0].revents)
			on_signal(k);
		else if (p[1].revents && !k->is_back)
			give_back(k);
		else if (p[1].revents && !take(k) && p[1].revents & (POLLHUP | POLLRDHUP))
			hang_up(k);
	}
}

// own_files leaves nothing open but the standard files and first, which comes to
// 3, and has room for all descriptors that it may.
static void own_files(struct keeper *k) {
	if (k->first >= 0 && k->first != SOCKET_FD && dup2(k->first, SOCKET_FD) < 0)
		die("use the descriptor given to " NAME);
	if (k->first >= 0)
		k->first = SOCKET_FD;
	syscall(SYS_close_range, k->first < 0 ? SOCKET_FD : SOCKET_FD + 1, ~0U, 0);
	if (k->first >= 0 && fcntl(k->first, F_SETFD, FD_CLOEXEC))
		die("use the descriptor given to " NAME);
	if (getrlimit(RLIMIT_NOFILE, &k->files))
		die("read the limit of open files");
	struct rlimit all = {k->files.rlim_max, k->files.rlim_max};
	setrlimit(RLIMIT_NOFILE, &all);
}

static int is_keeper(const char *name) {
	const char *slash = strrchr(name, '/');
	return !strcmp(slash ? slash + 1 : name, NAME);
}

__attribute__((constructor)) static void keeper(int argc, char **argv) {
	if (argc < 1 || !is_keeper(argv[0]))
		return;
	struct keeper k = {.first = -1, .socket = -1, .end = -1};
	char **a = argv + 1;
	if (*a && !strncmp(*a, "first=", 6))
		k.first = atoi(*a++ + 6);
	const char *failed = *a && !strncmp(*a, "enter=", 6) ? keeper_enter(*a++ + 6) : NULL;
	if (failed)
		die(failed);
	if (!*a || strcmp(*a, "--") || !a[1]) {
		errno = EINVAL;
		die("no command given to " NAME);
	}
	k.command = a + 1;
	own_files(&k);
	// Who ends a session or a pipe does not mean the keeper: signals are read,
	// and only those that ask to end are passed on.
	sigset_t all;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &k.mask);
	signal(SIGCHLD, SIG_DFL); // the starter may have ignored it: nobody would be told of a death
	k.signals = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
	if (k.signals < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
		die("become the parent of the supervisor");
	prctl(PR_SET_NAME, NAME);
	keep(&k);
}
