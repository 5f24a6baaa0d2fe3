package seccomp

/*
#include <signal.h>

static void nothing(int signal) { (void)signal; }

// upall_interrupts gives the signal a handler that does nothing, and lets it
// interrupt system calls: Go's own handlers have the kernel restart them.
static int upall_interrupts(int signal) {
	struct sigaction action = {.sa_handler = nothing, .sa_flags = SA_ONSTACK};
	return sigaction(signal, &action, NULL);
}
*/
import "C"

import (
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// interruptSignal is a real-time signal that nobody sends: SIGRTMAX of glibc,
// less two.
const interruptSignal = unix.Signal(62)

// CatchInterrupts makes Interrupt possible in this process.
var CatchInterrupts = sync.OnceValue(func() error {
	if _, err := C.upall_interrupts(C.int(interruptSignal)); err != nil {
		return os.NewSyscallError("sigaction", err)
	}
	return nil
})

// Interrupt makes a Receive of the thread tid return ErrInterrupted. One that
// has not begun yet is not interrupted: repeat it until the thread says that it
// has ended. CatchInterrupts must have been called.
//
// The other way, poll(2) on the notifyFD and an eventfd before each Receive,
// costs each connect 4 us.
func Interrupt(tid int) error {
	return os.NewSyscallError("tgkill", unix.Tgkill(unix.Getpid(), tid, interruptSignal))
}
