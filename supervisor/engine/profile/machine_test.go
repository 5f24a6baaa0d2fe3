package profile

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	profiles "github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
	libseccomp "github.com/seccomp/libseccomp-golang"
	"golang.org/x/net/bpf"

	"upall/internal/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.Run(m)) }

// What seccomp returns (linux/seccomp.h).
const (
	retAllow  = 0x7fff0000
	retNotify = 0x7fc00000
	retErrno  = 0x00050000
)

// machine decides on calls as a container's filter would.
type machine struct {
	t  *testing.T
	vm *bpf.VM
}

// newMachine resolves a profile as the engine does, for a container with caps,
// and compiles it as runc does.
func newMachine(t *testing.T, body []byte, caps ...string) machine {
	t.Helper()
	spec := &specs.Spec{Process: &specs.Process{Capabilities: &specs.LinuxCapabilities{Bounding: caps}}}
	resolved, err := profiles.LoadProfile(string(body), spec)
	if err != nil {
		t.Fatalf("the engine refuses the profile: %v\n%s", err, body)
	}
	filter, err := libseccomp.NewFilter(action(t, resolved.DefaultAction, resolved.DefaultErrnoRet))
	if err != nil {
		t.Fatal(err)
	}
	defer filter.Release()
	for _, a := range resolved.Architectures {
		arch, err := libseccomp.GetArchFromString(strings.ToLower(strings.TrimPrefix(string(a), "SCMP_ARCH_")))
		if err == nil {
			err = filter.AddArch(arch)
		}
		if err != nil {
			t.Fatalf("add architecture %s: %v", a, err)
		}
	}
	for _, s := range resolved.Syscalls {
		for _, name := range s.Names {
			addRule(t, filter, resolved, name, s)
		}
	}
	return machine{t, load(t, filter)}
}

// addRule leaves out, as runc does, rules that are the default and calls that
// libseccomp does not know; conditions on one argument are rules of their own.
func addRule(t *testing.T, filter *libseccomp.ScmpFilter, p *specs.LinuxSeccomp, name string, s specs.LinuxSyscall) {
	t.Helper()
	act := action(t, s.Action, s.ErrnoRet)
	call, err := libseccomp.GetSyscallFromName(name)
	if err != nil || act == action(t, p.DefaultAction, p.DefaultErrnoRet) {
		return
	}
	var together []libseccomp.ScmpCondition
	apart := false
	for _, a := range s.Args {
		apart = apart || slices.ContainsFunc(together, func(c libseccomp.ScmpCondition) bool { return c.Argument == a.Index })
		condition, err := libseccomp.MakeCondition(a.Index, op(t, a.Op), a.Value, a.ValueTwo)
		if err != nil {
			t.Fatal(err)
		}
		together = append(together, condition)
	}
	groups := [][]libseccomp.ScmpCondition{together}
	if apart {
		groups = slices.Collect(slices.Chunk(together, 1))
	}
	for _, g := range groups {
		if err := filter.AddRuleConditional(call, act, g); err != nil {
			t.Fatalf("add rule for %s %v: %v", name, s.Args, err)
		}
	}
}

func action(t *testing.T, a specs.LinuxSeccompAction, errno *uint) libseccomp.ScmpAction {
	t.Helper()
	code := uint(1) // EPERM
	if errno != nil {
		code = *errno
	}
	actions := map[specs.LinuxSeccompAction]libseccomp.ScmpAction{
		specs.ActAllow: libseccomp.ActAllow, specs.ActNotify: libseccomp.ActNotify, specs.ActLog: libseccomp.ActLog,
		specs.ActErrno: libseccomp.ActErrno.SetReturnCode(int16(code)), specs.ActKill: libseccomp.ActKillThread,
	}
	if actions[a] == 0 {
		t.Fatalf("no action %q here", a)
	}
	return actions[a]
}

func op(t *testing.T, o specs.LinuxSeccompOperator) libseccomp.ScmpCompareOp {
	t.Helper()
	ops := map[specs.LinuxSeccompOperator]libseccomp.ScmpCompareOp{
		specs.OpEqualTo: libseccomp.CompareEqual, specs.OpNotEqual: libseccomp.CompareNotEqual,
		specs.OpLessThan: libseccomp.CompareLess, specs.OpGreaterThan: libseccomp.CompareGreater,
		specs.OpGreaterEqual: libseccomp.CompareGreaterEqual, specs.OpMaskedEqual: libseccomp.CompareMaskedEqual,
	}
	if ops[o] == 0 {
		t.Fatalf("no operator %q here", o)
	}
	return ops[o]
}

// load takes the program over into the machine.
func load(t *testing.T, filter *libseccomp.ScmpFilter) *bpf.VM {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "bpf"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	if err := filter.ExportBPF(file); err != nil {
		t.Fatal(err)
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	var raw []bpf.RawInstruction
	for {
		var i struct {
			Op     uint16
			Jt, Jf uint8
			K      uint32
		}
		if binary.Read(file, binary.NativeEndian, &i) != nil {
			break
		}
		raw = append(raw, bpf.RawInstruction(i))
	}
	instructions, all := bpf.Disassemble(raw)
	vm, err := bpf.NewVM(instructions)
	if err != nil || !all {
		t.Fatalf("load %d instructions: %v", len(raw), err)
	}
	return vm
}

// call is a system call of a program.
type call struct {
	arch uint32 // AUDIT_ARCH of linux/audit.h
	nr   uint32
	args [6]uint64
}

const (
	archX8664 = 0xc000003e
	archI386  = 0x40000003
	x32       = 0x40000000 // in nr
)

func (c call) String() string { return fmt.Sprintf("call %d of %#x %#x", c.nr, c.arch, c.args) }

// on returns what the filter returns. The machine loads words in big endian, so
// struct seccomp_data is laid out so, the lower word of an argument first.
func (m machine) on(c call) uint32 {
	m.t.Helper()
	words := []uint32{c.nr, c.arch, 0, 0}
	for _, a := range c.args {
		words = append(words, uint32(a), uint32(a>>32))
	}
	var data []byte
	for _, w := range words {
		data = binary.BigEndian.AppendUint32(data, w)
	}
	got, err := m.vm.Run(data)
	if err != nil {
		m.t.Fatal(err)
	}
	return uint32(got)
}
