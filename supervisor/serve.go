package supervisor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"upall/compose"
	"upall/internal/event"
	"upall/internal/linux"
	"upall/supervisor/control"
	"upall/supervisor/engine/agent"
	"upall/supervisor/process"
)

// controlEntry is the Keep's entry of the control API's socket.
const controlEntry = "control"

// ControlSocket is the path of a project's control API.
func ControlSocket(base, project string) string {
	return filepath.Join(base, project, "private", "control.sock")
}

// owner is who may use the control API besides root, and its path.
func (s *supervisor) owner() (uid int, path string) {
	if s.Agent != nil {
		return s.Agent.Owner, agent.Socket(s.Base, s.Project)
	}
	return os.Geteuid(), ControlSocket(s.Base, s.Project)
}

// openState takes the project's directory, or goes on with it.
func (s *supervisor) openState() (err error) {
	if k, ok := s.kept(process.StateEntry); ok {
		s.state, err = process.AdoptState(s.Keep, process.Kept(k))
	} else {
		pid := s.KeeperPID
		if pid == 0 {
			pid = os.Getpid()
		}
		if s.state, err = process.OpenState(s.Base, s.Project, pid); err == nil && s.Keep != nil {
			err = s.state.Keep(s.Keep)
		}
		if err == nil {
			err = s.noteContainer()
		}
	}
	if err != nil {
		return err
	}
	log := control.NewLog()
	if s.Opened != nil {
		s.Logger = s.Opened(s.state.Private())
	}
	output, err := control.OpenOutput(filepath.Join(s.state.Private(), "logs"), func(message string) { s.warn("", message) })
	if err != nil {
		return errors.Join(err, s.state.Close())
	}
	s.board = &board{
		log: log, output: output, path: boardFile(s.state.Private()), ready: func(instance string) { s.give(readied{instance}) },
		listens: func(instance string) { s.give(func() { s.wakeProbes(instance) }) },
		edges:   edges{}, services: map[string]string{},
		observed: func(client, server string) { s.give(edge{client, server}) },
		fixed: control.Snapshot{
			API: control.Version, Version: s.Version, Project: s.Project, Phase: control.Idle,
			Life: s.Life, SupervisorPID: os.Getpid(), KeeperPID: s.KeeperPID, Started: time.Now(),
			Published: []control.Published{}, Processes: []compose.Instance{},
			Prefix: s.state.Prefix, Socket: s.state.Socket(), StateDir: s.state.Dir(),
			WaitKillable: linux.HasWaitKillable(), Agent: s.Agent,
		},
	}
	s.bus = event.NewBus(s.board.consume)
	return nil
}

// kept returns an entry of the Keep of an earlier life.
func (s *supervisor) kept(name string) (Kept, bool) {
	for _, k := range s.Kept {
		if k.Name == name {
			return k, true
		}
	}
	return Kept{}, false
}

// serving is the control API that is served.
type serving struct {
	clients *clients
	cancel  context.CancelFunc
	done    chan error
}

// openControl serves the control API.
func (s *supervisor) openControl() (err error) {
	listener, err := s.controlListener()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(s.ctx)
	s.serving = &serving{&clients{UnixListener: listener}, cancel, make(chan error, 1)}
	owner, _ := s.owner()
	go func() { s.serving.done <- control.Serve(ctx, s.serving.clients, s, owner, s.board.log) }()
	return nil
}

func (s *supervisor) controlListener() (*net.UnixListener, error) {
	if k, ok := s.kept(controlEntry); ok && len(k.FDs) == 1 {
		file := os.NewFile(uintptr(k.FDs[0].Disown()), controlEntry)
		l, err := net.FileListener(file)
		if err = errors.Join(err, file.Close()); err != nil {
			return nil, fmt.Errorf("go on with the control API: %w", err)
		}
		unix, ok := l.(*net.UnixListener)
		if !ok {
			return nil, errors.Join(errors.New("go on with the control API: it is no Unix socket"), l.Close())
		}
		return unix, nil
	}
	owner, path := s.owner()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen for the control API: %w", err)
	}
	err = os.Chmod(path, 0o600)
	if s.Agent != nil {
		err = errors.Join(err, os.Chown(path, owner, -1))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("listen for the control API: %w", err), l.Close())
	}
	if s.Keep == nil {
		return l, nil
	}
	raw, err := l.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	var putErr error
	err = raw.Control(func(fd uintptr) { putErr = s.Keep.Put(controlEntry, nil, int(fd)) })
	if err = errors.Join(err, putErr); err != nil {
		return nil, errors.Join(fmt.Errorf("keep the control API: %w", err), l.Close())
	}
	return l, nil
}

// isBusy tells whether anybody is connected.
func (s *serving) isBusy() bool { return s.clients.open.Load() > 0 }

// close answers what is asked already, and ends.
func (s *serving) close() error {
	s.cancel()
	return <-s.done
}
