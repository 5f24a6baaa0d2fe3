package seccomp

import "golang.org/x/sys/unix"

// Action is what a Rule does with a system call.
type Action int

// The actions of rules.
const (
	Pass   Action = iota // as without the filter
	Notify               // the call waits for a response
	NoSys                // the call fails with ENOSYS
)

// Op is how a Condition compares.
type Op int

// The comparisons of conditions, each of whole 64-bit arguments.
const (
	AtLeast     Op = iota // the argument is Value or more
	MaskedEqual           // the argument's bits in Mask are those of Value
)

// Condition is what an argument of the call, counted from 0, must be.
type Condition struct {
	Arg         uint
	Op          Op
	Mask, Value uint64
}

// Rule says what becomes of a system call, always or under a condition.
type Rule struct {
	Call   string
	Action Action
	When   *Condition // nil: always
}

// msgFastOpen is MSG_FASTOPEN of sendto(2): the send connects.
const msgFastOpen = 0x20000000

// addressLengths are masks that match the address lengths 16 to 109: all that
// an IPv4 or IPv6 address can have below 110, the length of a whole sockaddr_un.
// A rule of libseccomp may compare an argument once only, hence powers of two.
var addressLengths = []struct{ mask, value uint64 }{
	{^uint64(15), 16}, {^uint64(31), 32}, {^uint64(31), 64}, {^uint64(7), 96}, {^uint64(3), 104}, {^uint64(1), 108},
}

// Rules returns the filter's rules. Those of one call exclude each other and
// leave no argument out, so that they can stand in a filter that denies what no
// rule names.
func (f Filter) Rules() []Rule {
	rules := []Rule{{"listen", Notify, nil}}
	rules = append(rules, connectRules()...)
	rules = append(rules, flagRules("sendto", 3)...)
	rules = append(rules, flagRules("sendmsg", 2)...)
	if f.Bind {
		rules = append(rules, Rule{"bind", Notify, nil})
	}
	if !f.AllowIOURing {
		rules = append(rules, Rule{"io_uring_setup", NoSys, nil})
	}
	return rules
}

// connectRules lets pass what is too short for an IPv4 address, and whole
// sockaddr_un.
func connectRules() []Rule {
	const length = 2 // the argument
	rules := []Rule{
		{"connect", Notify, &Condition{length, AtLeast, 0, unix.SizeofSockaddrUnix + 1}},
		{"connect", Pass, &Condition{length, MaskedEqual, ^uint64(15), 0}},
		{"connect", Pass, &Condition{length, MaskedEqual, ^uint64(0), unix.SizeofSockaddrUnix}},
	}
	for _, l := range addressLengths {
		rules = append(rules, Rule{"connect", Notify, &Condition{length, MaskedEqual, l.mask, l.value}})
	}
	return rules
}

func flagRules(call string, arg uint) []Rule {
	return []Rule{
		{call, Notify, &Condition{arg, MaskedEqual, msgFastOpen, msgFastOpen}},
		{call, Pass, &Condition{arg, MaskedEqual, msgFastOpen, 0}},
	}
}
