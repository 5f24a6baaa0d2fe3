package supervisor

import (
	"net/http"
	"os"
	"syscall"

	"upall/supervisor/control"
)

// replace ends this process as a crash would, for its keeper to start the next life,
// which may be of another version. A crash at any moment loses nothing, so no other
// way is needed.
func (s *supervisor) replace() error {
	select {
	case <-s.KeeperGone:
		return control.Errorf(http.StatusConflict, "upall's keeper has died, so that nothing would be left of the project: `upall down` first")
	default:
	}
	if s.Agent == nil || s.Keep == nil {
		return control.Errorf(http.StatusConflict, "only an agent's supervisor can be replaced: `upall down` ends this one")
	}
	return os.NewSyscallError("kill", syscall.Kill(os.Getpid(), syscall.SIGKILL))
}
