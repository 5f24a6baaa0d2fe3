package profile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
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
	vm, err := compile(body, caps)
	if err != nil {
		t.Fatalf("%v\n%s", err, body)
	}
	return machine{t, vm}
}

func compile(body []byte, caps []string) (*bpf.VM, error) {
	spec := &specs.Spec{Process: &specs.Process{Capabilities: &specs.LinuxCapabilities{Bounding: caps}}}
	resolved, err := profiles.LoadProfile(string(body), spec)
	if err != nil {
		return nil, fmt.Errorf("the engine refuses the profile: %w", err)
	}
	act, err := action(resolved.DefaultAction, resolved.DefaultErrnoRet)
	if err != nil {
		return nil, err
	}
	filter, err := libseccomp.NewFilter(act)
	if err != nil {
		return nil, err
	}
	defer filter.Release()
	for _, a := range resolved.Architectures {
		arch, err := libseccomp.GetArchFromString(strings.ToLower(strings.TrimPrefix(string(a), "SCMP_ARCH_")))
		if err == nil {
			err = filter.AddArch(arch)
		}
		if err != nil {
			return nil, fmt.Errorf("add architecture %s: %w", a, err)
		}
	}
	for _, s := range resolved.Syscalls {
		for _, name := range s.Names {
			if err := addRule(filter, act, name, s); err != nil {
				return nil, fmt.Errorf("add rule for %s %v: %w", name, s.Args, err)
			}
		}
	}
	return load(filter)
}

// addRule leaves out, as runc does, rules that are the default and calls that
// libseccomp does not know; conditions on one argument are rules of their own.
func addRule(filter *libseccomp.ScmpFilter, byDefault libseccomp.ScmpAction, name string, s specs.LinuxSyscall) error {
	act, err := action(s.Action, s.ErrnoRet)
	if err != nil {
		return err
	}
	call, err := libseccomp.GetSyscallFromName(name)
	if err != nil || act == byDefault {
		return nil
	}
	var together []libseccomp.ScmpCondition
	apart := false
	for _, a := range s.Args {
		apart = apart || slices.ContainsFunc(together, func(c libseccomp.ScmpCondition) bool { return c.Argument == a.Index })
		condition, err := libseccomp.MakeCondition(a.Index, ops[a.Op], a.Value, a.ValueTwo)
		if err != nil {
			return err
		}
		together = append(together, condition)
	}
	if !apart {
		return filter.AddRuleConditional(call, act, together)
	}
	for _, c := range together {
		if err := filter.AddRuleConditional(call, act, []libseccomp.ScmpCondition{c}); err != nil {
			return err
		}
	}
	return nil
}

func action(a specs.LinuxSeccompAction, errno *uint) (libseccomp.ScmpAction, error) {
	code := uint(1) // EPERM
	if errno != nil {
		code = *errno
	}
	switch a {
	case specs.ActAllow:
		return libseccomp.ActAllow, nil
	case specs.ActNotify:
		return libseccomp.ActNotify, nil
	case specs.ActLog:
		return libseccomp.ActLog, nil
	case specs.ActErrno:
		return libseccomp.ActErrno.SetReturnCode(int16(code)), nil
	case specs.ActKill:
		return libseccomp.ActKillThread, nil
	}
	return libseccomp.ActInvalid, fmt.Errorf("no action %q here", a)
}

var ops = map[specs.LinuxSeccompOperator]libseccomp.ScmpCompareOp{
	specs.OpEqualTo: libseccomp.CompareEqual, specs.OpNotEqual: libseccomp.CompareNotEqual,
	specs.OpLessThan: libseccomp.CompareLess, specs.OpGreaterThan: libseccomp.CompareGreater,
	specs.OpGreaterEqual: libseccomp.CompareGreaterEqual, specs.OpMaskedEqual: libseccomp.CompareMaskedEqual,
}

// load takes the program over into a machine.
func load(filter *libseccomp.ScmpFilter) (*bpf.VM, error) {
	file, err := os.CreateTemp("", "upall-bpf-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = errors.Join(file.Close(), os.Remove(file.Name())) }()
	if err := filter.ExportBPF(file); err != nil {
		return nil, err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	program, err := io.ReadAll(file)
	if err != nil {
		return nil, err
	}
	raw := make([]bpf.RawInstruction, len(program)/8)
	if err := binary.Read(bytes.NewReader(program), binary.NativeEndian, raw); err != nil {
		return nil, err
	}
	instructions, all := bpf.Disassemble(raw)
	if !all {
		return nil, errors.New("the filter has instructions that classic BPF does not know")
	}
	return bpf.NewVM(instructions)
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
