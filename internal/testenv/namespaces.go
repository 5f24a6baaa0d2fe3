package testenv

import (
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// NeedUserNS needs user to be able to do in a new user and mount namespace
// what the process runtime does there: put another file over /etc/hosts.
func NeedUserNS(t testing.TB, user User) {
	t.Helper()
	err := probeUserNS(t, user)
	Need(t, err == nil, fmt.Sprintf("user namespaces for %s (%v)", user.Name, err))
}

// probeUserNS runs unshare(1) as user. It is not done with clone flags of our
// own: root would write the child's uid map and so hide that the user may not.
func probeUserNS(t testing.TB, user User) error {
	probe := user.Command(t, "unshare", "--user", "--map-root-user", "--mount",
		"mount", "--bind", "/etc/hosts", "/etc/hosts")
	out, err := probe.CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		return err
	}
	if err != nil {
		return fmt.Errorf("unshare: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// NeedNFQueue needs CAP_NET_ADMIN in a network namespace that the test may
// make, and a kernel that queues packets to user space there.
func NeedNFQueue(t testing.TB) {
	t.Helper()
	err := inNewNetNS(bindQueue)
	Need(t, err == nil, fmt.Sprintf("NFQUEUE in a network namespace of its own (%v)", err))
}

// inNewNetNS runs fn on a thread in a new network namespace. The thread is
// not unlocked, so it dies with the goroutine and the namespace with it.
func inNewNetNS(fn func() error) error {
	result := make(chan error, 1) // one result; the sender never waits
	go func() {
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			result <- fmt.Errorf("unshare the network namespace: %w", err)
			return
		}
		result <- fn()
	}()
	return <-result
}

// Of linux/netfilter/nfnetlink_queue.h.
const (
	nfqueueMsgConfig  = 2 // NFQNL_MSG_CONFIG
	nfqueueAttrCmd    = 1 // NFQA_CFG_CMD
	nfqueueCmdBind    = 1 // NFQNL_CFG_CMD_BIND
	nfgenHeaderLength = 4 // struct nfgenmsg: family, version, res_id
)

// bindQueue binds queue 0, in the thread's network namespace, for a moment.
func bindQueue() error {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return fmt.Errorf("open a netfilter socket: %w", err)
	}
	// struct nfqnl_msg_config_cmd: command, pad, protocol family (not used since Linux 3.8).
	command, err := netlink.MarshalAttributes([]netlink.Attribute{{Type: nfqueueAttrCmd, Data: []byte{nfqueueCmdBind, 0, 0, 0}}})
	if err != nil {
		return errors.Join(fmt.Errorf("encode the bind command: %w", err), conn.Close())
	}
	message := netlink.Message{
		Header: netlink.Header{
			Type:  netlink.HeaderType(unix.NFNL_SUBSYS_QUEUE<<8 | nfqueueMsgConfig),
			Flags: netlink.Request | netlink.Acknowledge,
		},
		Data: append(make([]byte, nfgenHeaderLength), command...),
	}
	if _, err := conn.Execute(message); err != nil {
		return errors.Join(fmt.Errorf("bind queue 0: %w", err), conn.Close())
	}
	return conn.Close()
}
