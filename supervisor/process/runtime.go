package process

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"upall/compose"
	"upall/intercept/seccomp"
	"upall/intercept/shim"
	"upall/internal/linux"
)

// Config is for Open.
type Config struct {
	Plan     *compose.Plan
	State    *State
	Env      []string // of upall itself: what the services inherit
	Disabled linux.Disabled
	Logger   *slog.Logger
	Keep     Keep // of the programs; nil: they end with this process
	// As is whom services run as, and no other; nil: as upall, and for root as
	// whoever they name.
	As *shim.User
	// Intercept is off to start the services as they are, without a filter.
	Intercept bool
}

// Runtime runs the instances of a plan. Make one with Open.
type Runtime struct {
	Config
	shelf    *shelf
	isRoot   bool
	hostsErr error // why there can be no /etc/hosts of our own
	killable bool
}

// Open writes what the shims need into the state directory. It may be done again
// for another plan, and by a later life of the supervisor, while services run.
func Open(c Config) (*Runtime, error) {
	r := &Runtime{
		Config: c, shelf: newShelf(c.Keep, c.Logger), isRoot: os.Geteuid() == 0,
		killable: !c.Disabled.Has(linux.WaitKillable) && linux.HasWaitKillable(),
	}
	r.hostsErr = r.probeHosts()
	base, err := os.ReadFile("/etc/hosts")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	for n := range c.Plan.Services {
		s := &c.Plan.Services[n]
		if s.Runtime != compose.Process {
			continue
		}
		if err := r.prepare(s, base); err != nil {
			return nil, fmt.Errorf("prepare service %q: %w", s.Name, err)
		}
	}
	return r, nil
}

// NoNames says why services cannot see each other's names, nil when they can.
func (r *Runtime) NoNames() error { return r.hostsErr }

func (r *Runtime) prepare(s *compose.Service, base []byte) error {
	dir := r.State.path(s.Name)
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	// World-readable: the service may run as another user.
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	if err := overwrite(filepath.Join(dir, hostsFile), hosts(base, r.Plan, s), 0o644); err != nil {
		return err
	}
	program, err := seccomp.Filter{Bind: true, AllowIOURing: s.Settings.AllowIOURing}.Compile()
	if err != nil {
		return err
	}
	return replace(filepath.Join(dir, filterFile), program, 0o600)
}

const (
	hostsFile  = "hosts"
	filterFile = "filter"
)

// probeHosts runs the shim once in front of a program that does nothing.
func (r *Runtime) probeHosts() error {
	if r.Disabled.Has(linux.UserNS) && !r.isRoot {
		return errors.New("user namespaces are switched off")
	}
	return ProbeNames(r.State.dir)
}

// ProbeNames tells why a process of the caller cannot have an /etc/hosts of its
// own, nil when it can. dir is where a file may be made.
func ProbeNames(dir string) error {
	file := filepath.Join(dir, "probe")
	if err := os.WriteFile(file, []byte("127.0.0.1 localhost\n"), 0o600); err != nil {
		return err
	}
	opts := shim.Options{Hosts: file, UserNS: os.Geteuid() != 0}
	var complaint strings.Builder
	p, err := start(opts, []string{"/bin/true"}, nil, "/", func(_, line string) { complaint.WriteString(line) })
	if err == nil && p.Wait() != 0 {
		err = errors.New(strings.TrimPrefix(complaint.String(), "upall: "))
	}
	return errors.Join(err, os.Remove(file))
}

// hosts is the /etc/hosts that the service sees: the host's own, and each name
// of the project, a line for an address. All replicas of a service are listed
// under its name.
func hosts(base []byte, plan *compose.Plan, client *compose.Service) []byte {
	var b strings.Builder
	b.Write(base)
	if len(base) > 0 && base[len(base)-1] != '\n' {
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "# services of %s", plan.Name)
	var line netip.Addr
	for _, h := range plan.Hosts(client, compose.Instance{}) { // a process has no namespace that depends on the instance
		if h.Addr != line {
			line = h.Addr
			fmt.Fprintf(&b, "\n%s\t%s", h.Addr, h.Name)
			continue
		}
		b.WriteString(" " + h.Name)
	}
	b.WriteByte('\n')
	for _, h := range client.ExtraHosts {
		b.WriteString(h + "\n")
	}
	return []byte(b.String())
}

// Check finds what would keep a service from starting, before any is started.
func (r *Runtime) Check(s *compose.Service) error {
	if st, err := os.Stat(s.Dir); err != nil || !st.IsDir() {
		return fmt.Errorf("service %q: working directory %s does not exist", s.Name, s.Dir)
	}
	if _, err := r.user(s); err != nil {
		return fmt.Errorf("service %q: %w", s.Name, err)
	}
	if err := findProgram(s.Command[0], s.Dir, r.env(s, nil)); err != nil {
		return fmt.Errorf("service %q: %w", s.Name, err)
	}
	return nil
}

// findProgram looks for a command as execvp(3) does.
func findProgram(name, dir string, env []string) error {
	isExecutable := func(path string) bool {
		st, err := os.Stat(path)
		return err == nil && !st.IsDir() && st.Mode()&0o111 != 0
	}
	if strings.Contains(name, "/") {
		path := name
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, name)
		}
		if !isExecutable(path) {
			return fmt.Errorf("command %q: no such program at %s", name, path)
		}
		return nil
	}
	for _, d := range filepath.SplitList(lookup(env, "PATH")) {
		if isExecutable(filepath.Join(d, name)) {
			return nil
		}
	}
	return fmt.Errorf("command %q is not found in PATH; install it, or give its path", name)
}

// Launch is what an instance is started with.
type Launch struct {
	Service  *compose.Service
	Instance compose.Instance
	Run      int    // as the caller counts the instance's runs; Adopt gives it back
	Socket   string // of the interceptor
	Metadata string // identifies the instance to the interceptor
	Output   Output
}

// Start runs an instance.
func (r *Runtime) Start(l Launch) (*Program, error) {
	start, err := r.prepareLaunch(l, l.Instance.Name+".state")
	if err != nil {
		return nil, err
	}
	start.command, start.output = l.Service.Command, l.Output
	start.id, start.shelf = Identity{Service: l.Service.Name, Instance: l.Instance.Name, Run: l.Run}, r.shelf
	return start.start()
}

// prepareLaunch is all that programs of an instance have in common. state is the
// name of a file for what is handed over.
func (r *Runtime) prepareLaunch(l Launch, state string) (launch, error) {
	s := l.Service
	dir := r.State.path(s.Name)
	user, err := r.user(s)
	if err != nil {
		return launch{}, err
	}
	opts := shim.Options{User: user.shimUser()}
	if r.hostsErr == nil {
		opts.Hosts, opts.UserNS = filepath.Join(dir, hostsFile), !r.isRoot
	}
	if r.Intercept {
		content, err := seccomp.MarshalState(l.Metadata)
		if err != nil {
			return launch{}, err
		}
		opts.State = filepath.Join(dir, state)
		if err := os.WriteFile(opts.State, content, 0o600); err != nil {
			return launch{}, err
		}
		opts.Filter, opts.Socket, opts.WaitKillable = filepath.Join(dir, filterFile), l.Socket, r.killable
	}
	env := append(r.env(s, user), "UPALL_PROJECT="+r.Plan.Name, "UPALL_INSTANCE="+l.Instance.Name, markerVariable+"="+r.State.dir)
	return launch{shim: opts, env: env, dir: s.Dir}, nil
}

// StopSignal is the signal that stops the service gracefully.
func StopSignal(s *compose.Service) (syscall.Signal, error) {
	if s.StopSignal == "" {
		return syscall.SIGTERM, nil
	}
	return linux.ParseSignal(s.StopSignal)
}

// env is what upall was started with, overridden by what the file sets.
func (r *Runtime) env(s *compose.Service, u *user) []string {
	env := slices.Clone(r.Env)
	if u != nil && u.name != "" {
		env = append(env, "HOME="+u.home, "USER="+u.name, "LOGNAME="+u.name)
	}
	return dedup(append(env, s.Env...))
}

// dedup keeps the last of each variable.
func dedup(env []string) []string {
	at := map[string]int{}
	var out []string
	for _, kv := range env {
		key, _, _ := strings.Cut(kv, "=")
		if n, ok := at[key]; ok {
			out[n] = kv
			continue
		}
		at[key] = len(out)
		out = append(out, kv)
	}
	return out
}

func lookup(env []string, key string) string {
	for _, kv := range env {
		if v, ok := strings.CutPrefix(kv, key+"="); ok {
			return v
		}
	}
	return ""
}
