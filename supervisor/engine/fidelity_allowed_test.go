package engine

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"github.com/moby/moby/client/pkg/versions"
)

// How a container hands its notifyFDs over.
const (
	byProfile = "profile"
	byShim    = "shim"
)

// handsOverBy tells how upall has a container hand over. theirs is what the
// engine says of the one of docker compose.
func handsOverBy(e *Engine, theirs map[string]any) string {
	isPrivileged, _ := field(theirs, "HostConfig", "Privileged").(bool)
	// Engines before 27 give no profile to a privileged container.
	if !e.HasListenerPath() || isPrivileged && versions.LessThan(e.newest, "1.46") {
		return byShim
	}
	return byProfile
}

// allowance is a field that may differ.
type allowance struct {
	path   string // "*" is one step of it
	by     string // for containers that hand over so; "" = for all
	reason string
	// check says what is wrong with a difference; nil: any is right.
	check func(difference) error
}

// allowed is all that may differ. docs/fidelity.md repeats it.
var allowed = []allowance{
	{"containers.*.Config.Labels.dev.upall.managed", "", "marks what upall has made", nil},
	{"containers.*.Config.Labels.dev.upall.metadata", "", "by which upall knows the container when it hands over", nil},
	{"containers.*.Config.Labels.dev.upall.digest", "", "a digest of the names and the hand-over that the container gets: it is made anew when they change", nil},
	{"containers.*.Config.Labels.dev.upall.hosts", "", "the names that the container was given: while they hold it is not made anew for others", nil},
	{"containers.*.Config.Labels.com.docker.compose.config-hash", "", "covers upall's labels", nil},
	{"containers.*.HostConfig.ExtraHosts", "", "the names of the project, behind the file's own; none that the file has", checkHosts},
	{"containers.*.NetworkSettings.Networks.*.IPAMConfig", "", "the fixed address, if the file gives none", checkAddress},
	{"containers.*.HostConfig.SecurityOpt", byProfile, "the seccomp profile, with notifications; all else is as in the file", checkSecurity},
	{"containers.*.Config.Entrypoint", byShim, "the shim in front of the entrypoint", nil}, // Args tells it all
	{"containers.*.Path", byShim, "the shim", nil},
	{"containers.*.Args", byShim, "behind the shim's own, the same program and arguments", checkProgram},
	{"containers.*.HostConfig.Binds", byShim, "the shim and what it reads, both read-only", checkBinds},
	{"containers.*.Mounts", byShim, "the shim and what it reads, both read-only", checkMounts},
	{"networks.*.IPAM.Config", "", "a subnet that upall has chosen, if the file has none", nil},
	{"networks.*.Labels.dev.upall.managed", "", "marks a network whose subnet upall has chosen", nil},
	{"networks.*.Labels.com.docker.compose.config-hash", "", "covers the subnet and the label", nil},
}

// allowance returns the row of allowed that the field belongs to, or nil.
func (d difference) allowance(e *Engine) *allowance {
	for i := range allowed {
		row := &allowed[i]
		if matchesPath(row.path, d.path) && (row.by == "" || row.by == handsOverBy(e, d.theirWhole)) {
			return row
		}
	}
	return nil
}

// checkHosts: the file's entries first, and no other entry for a name of theirs.
func checkHosts(d difference) error {
	ours, theirs := texts(d.ours), texts(d.theirs)
	if len(ours) < len(theirs) || !sameEntries(ours[:len(theirs)], theirs) {
		return errors.New("the file's entries do not come first")
	}
	for _, added := range ours[len(theirs):] {
		name, addr, _ := strings.Cut(added, ":")
		if _, err := netip.ParseAddr(addr); err != nil {
			return fmt.Errorf("entry %q has no address", added)
		}
		if slices.ContainsFunc(theirs, func(entry string) bool { return strings.HasPrefix(entry, name+":") }) {
			return fmt.Errorf("entry %q is for a name of the file", added)
		}
	}
	return nil
}

// sameEntries ignores the order, for Compose sends the entries of a map.
func sameEntries(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// checkAddress: what the file gives is as in the file.
func checkAddress(d difference) error {
	ours, theirs := object(d.ours), object(d.theirs)
	for key, value := range theirs {
		if !reflect.DeepEqual(ours[key], value) {
			return fmt.Errorf("%s is another", key)
		}
	}
	for key := range ours {
		if _, ok := theirs[key]; !ok && key != "IPv4Address" && key != "IPv6Address" {
			return fmt.Errorf("%s has come", key)
		}
	}
	return nil
}

// checkSecurity: the profile is the only option that is new or gone.
func checkSecurity(d difference) error {
	ours, theirs := texts(d.ours), texts(d.theirs)
	if !slices.Equal(withoutSeccomp(ours), withoutSeccomp(theirs)) {
		return errors.New("another option than seccomp differs")
	}
	for _, option := range ours {
		if strings.HasPrefix(option, "seccomp={") && strings.Contains(option, `"listenerPath"`) {
			return nil
		}
	}
	return errors.New("no profile with a listenerPath")
}

// checkProgram: what stands behind the shim is what runs without it.
func checkProgram(d difference) error {
	ours := texts(field(d.ourWhole, "Args"))
	program, _ := field(d.theirWhole, "Path").(string)
	theirs := append([]string{program}, texts(field(d.theirWhole, "Args"))...)
	end := slices.Index(ours, "--")
	if field(d.ourWhole, "Path") != shimProgram || end < 0 || !slices.Equal(ours[end+1:], theirs) {
		return fmt.Errorf("runs %q, not the shim and %q", ours, theirs)
	}
	return nil
}

// checkBinds: those of the shim are the only ones that are new or gone.
func checkBinds(d difference) error {
	others := slices.DeleteFunc(texts(d.ours), func(bind string) bool {
		return strings.HasSuffix(bind, ":"+shimProgram+":ro") || strings.HasSuffix(bind, ":"+shimDirectory+":ro")
	})
	if !slices.Equal(others, texts(d.theirs)) {
		return errors.New("another bind than those of the shim differs")
	}
	return nil
}

func checkMounts(d difference) error {
	ours, _ := d.ours.([]any)
	theirs, _ := d.theirs.([]any)
	others := slices.DeleteFunc(slices.Clone(ours), func(m any) bool {
		target := object(m)["Destination"]
		return (target == shimProgram || target == shimDirectory) && object(m)["RW"] == false
	})
	if len(others)+len(theirs) > 0 && !reflect.DeepEqual(others, theirs) {
		return errors.New("another mount than those of the shim differs")
	}
	return nil
}

// field follows keys into an object; nil if there is no such field.
func field(v any, keys ...string) any {
	for _, key := range keys {
		v = object(v)[key]
	}
	return v
}

func object(v any) map[string]any {
	o, _ := v.(map[string]any)
	return o
}

// texts are the strings of a list.
func texts(v any) []string {
	list, _ := v.([]any)
	var all []string
	for _, entry := range list {
		text, _ := entry.(string)
		all = append(all, text)
	}
	return all
}
