package testenv

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// User is a user of this machine.
type User struct {
	Name string
	UID  int
	GID  int
	Home string // a folder that the user may write to
	// Groups are the user's supplementary ones.
	Groups []int
}

// OrdinaryUser returns a user without privileges: the caller itself, or, when
// that is root, a user made for this test, who is removed with all of its
// processes' files when the test ends. Tests that run at the same time, in
// other processes too, get different users.
func OrdinaryUser(t testing.TB) User {
	t.Helper()
	if os.Geteuid() != 0 {
		return CurrentUser(t)
	}
	NeedProgram(t, "useradd")
	NeedProgram(t, "userdel")
	u, err := createUser(t)
	if err != nil {
		t.Fatalf("make a test user: %v", err)
	}
	return u
}

// UserIn returns an ordinary user of this test alone who is in a group as well, which
// takes root.
func UserIn(t testing.TB, group string) User {
	t.Helper()
	NeedRoot(t)
	NeedProgram(t, "usermod")
	found, err := user.LookupGroup(group)
	Need(t, err == nil, "the group "+group)
	gid, err := strconv.Atoi(found.Gid)
	if err != nil {
		t.Fatalf("read the ID of the group %s: %v", group, err)
	}
	u := OrdinaryUser(t)
	if err := setGroups(t, u.Name, group); err != nil {
		t.Fatal(err)
	}
	u.Groups = []int{gid}
	return u
}

// setGroups makes groups, separated by commas, the user's supplementary ones.
func setGroups(t testing.TB, name, groups string) error {
	out, err := exec.CommandContext(t.Context(), lookProgram("usermod"), "--groups", groups, name).CombinedOutput()
	if err != nil {
		return fmt.Errorf("usermod --groups %s %s: %w: %s", groups, name, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// CurrentUser returns the user that runs the test, with a temporary folder for
// a home where it has none, as the users of some containers.
func CurrentUser(t testing.TB) User {
	t.Helper()
	account, err := user.Current()
	if err != nil {
		t.Fatalf("look up the current user: %v", err)
	}
	u, err := fromAccount(account)
	if err != nil {
		t.Fatalf("look up the current user: %v", err)
	}
	if _, err := os.Stat(u.Home); err != nil {
		u.Home = t.TempDir()
	}
	return u
}

func fromAccount(account *user.User) (User, error) {
	uid, uidErr := strconv.Atoi(account.Uid)
	gid, gidErr := strconv.Atoi(account.Gid)
	if err := errors.Join(uidErr, gidErr); err != nil {
		return User{}, fmt.Errorf("read the account of %s: %w", account.Username, err)
	}
	return User{Name: account.Username, UID: uid, GID: gid, Home: account.HomeDir}, nil
}

// systemPath is the PATH of a user that we switch to: that of root may hold
// folders in root's home, which no one else can enter.
const systemPath = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"

// Command returns a command that runs as the user, in its home folder, with a
// small environment. It is killed when the test ends.
func (u User) Command(t testing.TB, name string, args ...string) *exec.Cmd {
	path := os.Getenv("PATH")
	if u.UID != os.Geteuid() {
		path = systemPath
		name = resolve(name, path)
	}
	command := exec.CommandContext(t.Context(), name, args...)
	command.Dir = u.Home
	command.Env = []string{"HOME=" + u.Home, "USER=" + u.Name, "LOGNAME=" + u.Name, "PATH=" + path, "LANG=C.UTF-8"}
	if u.UID != os.Geteuid() {
		// No supplementary groups but its own: an ordinary user has none of root's.
		command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(u.UID), Gid: uint32(u.GID), Groups: u.groups()}}
	}
	return command
}

func (u User) groups() (ids []uint32) {
	for _, id := range u.Groups {
		ids = append(ids, uint32(id))
	}
	return ids
}

// resolve looks a bare name up in path; what it does not find it returns as
// it is, so that the start of the command reports it.
func resolve(name, path string) string {
	if strings.Contains(name, "/") {
		return name
	}
	for folder := range strings.SplitSeq(path, ":") {
		if found, err := exec.LookPath(filepath.Join(folder, name)); err == nil {
			return found
		}
	}
	return name
}

// TempDir returns a new folder that belongs to the user and that the user can
// reach, which is not so for the folders of testing.T under root.
func (u User) TempDir(t testing.TB) string {
	t.Helper()
	folder, err := os.MkdirTemp(u.Home, "upall-test-")
	if err != nil {
		t.Fatalf("make a folder for %s: %v", u.Name, err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(folder); err != nil {
			t.Errorf("remove the folder of %s: %v", u.Name, err)
		}
	})
	if err := os.Chown(folder, u.UID, u.GID); err != nil {
		t.Fatalf("hand the folder to %s: %v", u.Name, err)
	}
	return folder
}

// Install copies a program, the test's own binary say, to where the user can
// run it, and returns its new path.
func (u User) Install(t testing.TB, program string) string {
	t.Helper()
	target := filepath.Join(u.TempDir(t), filepath.Base(program))
	if err := copyProgram(program, target); err != nil {
		t.Fatalf("install %s for %s: %v", program, u.Name, err)
	}
	return target
}

func copyProgram(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	// Closing what was only read cannot lose anything.
	defer func() { _ = source.Close() }()
	target, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	return errors.Join(err, target.Close())
}

// maxUsers bounds how many test users exist at once.
const maxUsers = 32

// createUser claims the first free name of a pool and makes that user.
func createUser(t testing.TB) (User, error) {
	for i := range maxUsers {
		name := "upalltest" + strconv.Itoa(i)
		lock, err := claim(name)
		if errors.Is(err, syscall.EWOULDBLOCK) {
			continue
		}
		if err != nil {
			return User{}, err
		}
		t.Cleanup(func() {
			removeUser(t, name)
			if err := lock.Close(); err != nil {
				t.Errorf("unlock %s: %v", name, err)
			}
		})
		return ensureUser(t, name)
	}
	return User{}, fmt.Errorf("all %d test users are in use", maxUsers)
}

// claim locks a name of the pool. The lock goes away with the process, so a
// user that a killed test left behind is taken over by the next one.
func claim(name string) (*os.File, error) {
	lock, err := os.OpenFile("/run/"+name+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock of %s: %w", name, err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", name, err), lock.Close())
	}
	return lock, nil
}

func ensureUser(t testing.TB, name string) (User, error) {
	account, err := user.Lookup(name)
	if _, missing := errors.AsType[user.UnknownUserError](err); missing {
		create := exec.CommandContext(t.Context(), lookProgram("useradd"), "--create-home", "--user-group", "--shell", "/bin/sh", name)
		if out, err := create.CombinedOutput(); err != nil {
			return User{}, fmt.Errorf("useradd %s: %w: %s", name, err, strings.TrimSpace(string(out)))
		}
		account, err = user.Lookup(name)
	} else if err == nil {
		err = setGroups(t, name, "") // a killed test may have left it in some
	}
	if err != nil {
		return User{}, fmt.Errorf("look up %s: %w", name, err)
	}
	return fromAccount(account)
}

// removeUser removes the user and its home. It does not use the test's
// context, which is over when a test cleans up.
func removeUser(t testing.TB, name string) {
	out, err := exec.Command(lookProgram("userdel"), "--remove", "--force", name).CombinedOutput()
	if err != nil {
		t.Errorf("userdel %s: %v: %s", name, err, strings.TrimSpace(string(out)))
	}
}
