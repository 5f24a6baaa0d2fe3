package process

import (
	"fmt"
	"os"
	osuser "os/user"
	"strconv"
	"strings"

	"upall/compose"
	"upall/intercept/shim"
)

// user is whom a service runs as, when that is not upall's own user.
type user struct {
	name, home string // "" where upall's caller has them in its environment
	shim       shim.User
}

func (u *user) shimUser() *shim.User {
	if u == nil {
		return nil
	}
	return &u.shim
}

// user resolves the user: key ("name", "uid", each with ":group") against this
// host. It returns nil where nothing is to be changed.
func (r *Runtime) user(s *compose.Service) (*user, error) {
	if s.User == "" && r.As != nil {
		return &user{shim: *r.As}, nil
	}
	if s.User == "" {
		return nil, nil
	}
	name, group, hasGroup := strings.Cut(s.User, ":")
	found, err := findUser(name)
	if err != nil {
		return nil, fmt.Errorf("user %q: %w", s.User, err)
	}
	uid, gid, groups, err := ids(found)
	if err != nil {
		return nil, fmt.Errorf("user %q: %w", s.User, err)
	}
	if hasGroup {
		if gid, err = groupID(group); err != nil {
			return nil, fmt.Errorf("user %q: %w", s.User, err)
		}
		groups = []uint32{gid}
	}
	switch {
	case r.As != nil && uid == r.As.UID:
		return &user{shim: *r.As}, nil
	case int(uid) == os.Geteuid() && !r.isRoot:
		return nil, nil
	case !r.isRoot || r.As != nil:
		return nil, fmt.Errorf("user %q: only root can run a process as somebody else", s.User)
	}
	return &user{found.Username, found.HomeDir, shim.User{UID: uid, GID: gid, Groups: groups}}, nil
}

// findUser takes a name, or a number that need not have a name.
func findUser(name string) (*osuser.User, error) {
	u, err := osuser.Lookup(name)
	if err == nil {
		return u, nil
	}
	if _, perr := strconv.ParseUint(name, 10, 32); perr != nil {
		return nil, err
	}
	if u, err := osuser.LookupId(name); err == nil {
		return u, nil
	}
	return &osuser.User{Uid: name, Gid: "0", Username: name, HomeDir: "/"}, nil
}

func ids(u *osuser.User) (uid, gid uint32, groups []uint32, err error) {
	if uid, err = parseID(u.Uid); err != nil {
		return 0, 0, nil, err
	}
	if gid, err = parseID(u.Gid); err != nil {
		return 0, 0, nil, err
	}
	groups = []uint32{gid}
	names, err := u.GroupIds()
	if err != nil {
		return uid, gid, groups, nil // a number without an entry has no groups
	}
	for _, n := range names {
		if g, err := parseID(n); err == nil && g != gid {
			groups = append(groups, g)
		}
	}
	return uid, gid, groups, nil
}

func groupID(name string) (uint32, error) {
	if g, err := osuser.LookupGroup(name); err == nil {
		return parseID(g.Gid)
	}
	return parseID(name)
}

func parseID(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	return uint32(n), err
}
