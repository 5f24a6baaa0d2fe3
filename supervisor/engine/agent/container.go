package agent

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// Directories are what an agent has of the engine's machine, at the same paths in its
// container: the engine is given paths of both.
type Directories struct {
	// State is where the states of projects are, as a supervisor has them.
	State string
	// Shim is where containers find the shim for as long as they exist, over restarts
	// of the machine too.
	Shim string
}

// Shared returns the directories on machines where the engine is root's.
func Shared() Directories { return Directories{"/run/upall", "/var/lib/upall"} }

const (
	// stateLabel and shimLabel have the Directories.
	stateLabel = "dev.upall.state"
	shimLabel  = "dev.upall.shim"
	// keyLabel tells agents of one project apart.
	keyLabel = "dev.upall.key"
	// label of an agent's container has the project's name; of its image, "".
	label = "dev.upall.agent"
	// aboutLabel says to people what this is.
	aboutLabel = "dev.upall.about"
	// ownerLabel is the ID of the user whose project it is.
	ownerLabel = "dev.upall.owner"

	about = "upall's supervisor of a project: it holds connects until their targets listen (upall ps, upall down)"
)

const (
	// engineSocket is where the engine's socket is in the container.
	engineSocket = "/var/run/docker.sock"
	groups       = "/sys/fs/cgroup"
	// stopSeconds is how long the engine lets a stopped agent end its project.
	stopSeconds = 300
)

// Capability is one that an agent has, and what for.
type Capability struct{ Name, Reason string }

// Capabilities are all that an agent has (capabilities(7)).
func Capabilities() []Capability {
	return []Capability{
		{"SYS_PTRACE", "reads the address of a connect from the client's memory, and duplicates its socket (process_vm_readv(2), pidfd_getfd(2))"},
		{"SYS_ADMIN", "enters the network namespaces of the project's containers, where SYNs are parked and sockets listed (setns(2))"},
		{"NET_ADMIN", "makes the rules and the queue that park SYNs there, and marks sockets (nftables, SO_MARK)"},
		{"DAC_OVERRIDE", "reads /proc of containers that run as other users, and keeps the records that belong to the project's owner"},
		{"CHOWN", "gives the control socket and the records to the project's owner"},
		{"KILL", "ends what a healthcheck that takes too long has started"},
	}
}

// HostCapabilities are those that an agent has besides which runs processes too: on
// the host, as the project's owner.
func HostCapabilities() []Capability {
	return []Capability{
		{"SYS_CHROOT", "enters the host's mount namespace (setns(2))"},
		{"SETUID", "becomes the owner before a process of the project is executed"},
		{"SETGID", "takes the owner's groups then"},
		{"NET_BIND_SERVICE", "listens on published ports below 1024"},
	}
}

// Options describe an agent.
type Options struct {
	Project string
	// Key is of this agent alone (rand.Text).
	Key string
	Directories
	// Owner is the ID of the user who may use the control API, besides root.
	Owner int
	// Host is the engine as the caller reaches it.
	Host string
	// EngineID is what the engine calls itself.
	EngineID string
	// Socket is the path of the engine's socket on the engine's machine.
	Socket string
	// AppArmor: the engine confines containers with it, by a profile that forbids to
	// look into processes under other profiles.
	AppArmor bool
	// Enter, if given, is a process of the owner: the agent is in its namespaces, to
	// run processes there.
	Enter *Process
	Env   []string // of the supervisor
}

// Process is one in the pid namespace with an inode.
type Process struct {
	PID       int
	Namespace uint64
}

// Name is that of the project's agent.
func Name(project string) string { return project + "-upall-agent" }

// Socket is the path of the control API of a project's agent, on the engine's
// machine: its owner may connect to it, and pass through the directory state.
func Socket(state, project string) string { return path.Join(state, project, "control.sock") }

// describe returns the container of an agent.
func describe(o Options, image string) client.ContainerCreateOptions {
	c := client.ContainerCreateOptions{
		Name: Name(o.Project),
		Config: &container.Config{
			Image:      image,
			Entrypoint: []string{"/" + keeper, "--", program},
			Cmd: []string{
				"supervise", "--key", o.Key, "--state", o.State, "--shim", o.Shim, "--owner", strconv.Itoa(o.Owner), "--engine", o.Host, "--engine-id", o.EngineID, "--", o.Project,
			},
			Env:         append([]string{"DOCKER_HOST=unix://" + engineSocket}, o.Env...),
			Labels:      map[string]string{label: o.Project, aboutLabel: about, ownerLabel: strconv.Itoa(o.Owner), keyLabel: o.Key, stateLabel: o.State, shimLabel: o.Shim},
			StopTimeout: new(stopSeconds),
			// Besides NetworkMode, it saves the engine a hook at the start.
			NetworkDisabled: true,
		},
		HostConfig: &container.HostConfig{
			AutoRemove:     true,
			PidMode:        "host", // what is notified of a connect is named by its pid
			CgroupnsMode:   "host", // what containers use is read from their control groups
			UsernsMode:     "host",
			NetworkMode:    "none",
			ReadonlyRootfs: true,
			CapDrop:        []string{"ALL"},
			CapAdd:         names(Capabilities()),
			SecurityOpt:    []string{"no-new-privileges"},
			LogConfig:      container.LogConfig{Type: "json-file", Config: map[string]string{"max-size": "1m", "max-file": "2"}},
			// Binds, not Mounts: the engine makes directories that are missing.
			Binds: []string{
				o.Socket + ":" + engineSocket,
				o.State + ":" + o.State,
				o.Shim + ":" + o.Shim,
				groups + ":" + groups + ":ro",
			},
		},
	}
	if o.AppArmor {
		c.HostConfig.SecurityOpt = append(c.HostConfig.SecurityOpt, "apparmor=unconfined")
	}
	if o.Enter != nil {
		onHost(&c, o)
	}
	if ComesBack(o.Host, o.Enter != nil) {
		c.HostConfig.RestartPolicy.Name, c.HostConfig.AutoRemove = container.RestartPolicyAlways, false
	}
	return c
}

// ComesBack tells whether the engine at an address starts an agent again with itself, and
// the agent removes itself at its end: where the path of the engine's socket is no guess,
// or it might ask another engine for that. One that runs processes on the host ends with
// them.
func ComesBack(host string, onHost bool) bool { return strings.HasPrefix(host, "unix://") && !onHost }

// onHost has the agent run processes of the host. They inherit from it what the
// engine confines a container with, and are not to be confined.
func onHost(c *client.ContainerCreateOptions, o Options) {
	c.Config.Entrypoint = []string{"/" + keeper, fmt.Sprintf("enter=%d:%d", o.Enter.PID, o.Enter.Namespace), "--", program}
	c.Config.Cmd = append([]string{"supervise", "--on-host"}, c.Config.Cmd[1:]...)
	c.Config.Env[0] = "DOCKER_HOST=unix://" + o.Socket
	c.HostConfig.CapAdd = append(c.HostConfig.CapAdd, names(HostCapabilities())...)
	c.HostConfig.SecurityOpt = append(c.HostConfig.SecurityOpt, "seccomp=unconfined")
	c.HostConfig.DeviceCgroupRules = []string{"a *:* rwm"}
}

func names(all []Capability) (names []string) {
	for _, c := range all {
		names = append(names, c.Name)
	}
	return names
}
