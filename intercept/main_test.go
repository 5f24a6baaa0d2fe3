package intercept

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"upall/internal/testenv"
)

// insideVariable tells a test binary that it runs in the namespace that was made
// for it, or that there can be none.
const insideVariable = "UPALL_INTERCEPT_INSIDE"

// own6 is an IPv6 address that the namespace has.
var own6 = netip.MustParseAddr("fd99::1")

// TestMain runs the tests in a network namespace of their own, where no other
// upall parks connects and nobody else's are counted.
func TestMain(m *testing.M) {
	if code, is := runLife(); is {
		os.Exit(code)
	}
	if os.Getenv(insideVariable) != "" {
		os.Exit(runTests(m))
	}
	runtime.LockOSThread() // the child dies with the thread that made it
	code, err := runInside()
	if errors.Is(err, unix.EPERM) {
		os.Exit(runTests(m))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func runTests(m *testing.M) int {
	code := testenv.Run(m)
	if err := os.RemoveAll(actorDir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func runInside() (int, error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	inside := exec.Command(self, os.Args[1:]...)
	inside.Stdin, inside.Stdout, inside.Stderr = os.Stdin, os.Stdout, os.Stderr
	inside.Env = append(os.Environ(), insideVariable+"=1")
	inside.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	err = inside.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode(), nil
	}
	return 0, err
}

// upLoopback makes the namespace usable, once.
func upLoopback(t *testing.T) {
	t.Helper()
	if os.Getenv(insideVariable) == "" {
		return // it is the host's
	}
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	if lo.Flags&net.FlagUp != 0 {
		return
	}
	conn, err := netlink.Dial(unix.NETLINK_ROUTE, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	// struct ifinfomsg: family, pad, type, index, flags, change.
	up := binary.NativeEndian.AppendUint32(make([]byte, 4), uint32(lo.Index))
	up = binary.NativeEndian.AppendUint32(up, unix.IFF_UP)
	up = binary.NativeEndian.AppendUint32(up, unix.IFF_UP)
	// struct ifaddrmsg: family, prefix length, flags, scope, index.
	addr := binary.NativeEndian.AppendUint32([]byte{unix.AF_INET6, 128, 0, 0}, uint32(lo.Index))
	attrs, err := netlink.MarshalAttributes([]netlink.Attribute{{Type: unix.IFA_LOCAL, Data: own6.AsSlice()}})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []netlink.Message{
		{Header: netlink.Header{Type: unix.RTM_NEWLINK, Flags: netlink.Request | netlink.Acknowledge}, Data: up},
		{Header: netlink.Header{Type: unix.RTM_NEWADDR, Flags: netlink.Request | netlink.Acknowledge | netlink.Create}, Data: append(addr, attrs...)},
	} {
		if _, err := conn.Execute(m); err != nil {
			t.Fatalf("make the namespace's loopback usable: %v", err)
		}
	}
}

// hasOwn6 tells whether own6 can be used.
func hasOwn6() bool { return os.Getenv(insideVariable) != "" }
