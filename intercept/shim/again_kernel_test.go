package shim

import (
	"errors"
	"net"
	"syscall"
	"testing"

	"upall/internal/linux"
	"upall/internal/testenv"
)

// TestKernelAgain: a connection that ends before the filter is there is made again,
// and an interceptor that was killed meanwhile may say again that it is here.
func TestKernelAgain(t *testing.T) {
	testenv.Need(t, linux.HasUserNotification() == nil, "seccomp user notification")
	o, _ := agent(t, nil)
	agentSocket := o.Socket
	listener := listen(t)
	o.Socket = listener.Addr().String()
	ended := make(chan error, 1) // one result; the sender never waits
	go func() { ended <- relay(listener, agentSocket) }()
	if got := run(t, o, "echo", "runs"); got != (result{"runs\n", "", 0}) {
		t.Errorf("%+v, want that it runs", got)
	}
	if err := errors.Join(listener.Close(), <-ended); err != nil {
		t.Error(err)
	}
}

// relay hangs up on two, and passes the third on, each answer with an H before it.
func relay(listener *net.UnixListener, to string) error {
	for range 2 {
		conn, err := listener.AcceptUnix()
		if err != nil {
			return err
		}
		if err := conn.Close(); err != nil {
			return err
		}
	}
	shim, err := listener.AcceptUnix()
	if err != nil {
		return err
	}
	defer func() { _ = shim.Close() }()
	agent, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: to, Net: "unix"})
	if err != nil {
		return err
	}
	defer func() { _ = agent.Close() }()
	data, oob, answer := make([]byte, 1<<16), make([]byte, 64), make([]byte, 2)
	for range 2 {
		n, oobn, _, _, err := shim.ReadMsgUnix(data, oob)
		if err != nil {
			return err
		}
		_, _, err = agent.WriteMsgUnix(data[:n], oob[:oobn], nil)
		if err := errors.Join(err, closeRights(oob[:oobn])); err != nil {
			return err
		}
		answer[0] = 'H'
		if _, err := agent.Read(answer[1:]); err != nil {
			return err
		}
		if _, err := shim.Write(answer); err != nil {
			return err
		}
	}
	return nil
}

// closeRights closes the descriptors that came with a message.
func closeRights(oob []byte) error {
	messages, err := syscall.ParseSocketControlMessage(oob)
	for i := range messages {
		fds, parseErr := syscall.ParseUnixRights(&messages[i])
		err = errors.Join(err, parseErr)
		for _, fd := range fds {
			err = errors.Join(err, syscall.Close(fd))
		}
	}
	return err
}
