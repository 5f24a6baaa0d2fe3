package registry

import (
	"cmp"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write what the scripts in testdata give into them")

// epoch is second 0 of every script.
var epoch = time.Unix(1_000_000, 0)

// TestScripts runs each file of testdata: inputs at the start of a line, what
// came of them indented below. Ticks are given as Next wants them.
//
//	instance NAME [service=S] [addr=A,B] [ports=1,2] [timeout=D] [jobs=S,T?] [healthy=S,T?] [health] [self] [nohold]
//	TIME started NAME | ended NAME CODE [final] | listened NAME ADDR:PORT [probe] [v6only]
//	TIME removed NAME | added NAME [as for instance] | hashealth NAME [no]
//	TIME unlistened AT | served AT | health NAME healthy|unhealthy|unknown
//	TIME connect ID CLIENT -> AT [since TIME] | gone ID | take AT MAX
//	TIME until | waiting NAME | diagnose CLIENT -> AT
//
// jobs and healthy are what the instance requires, those with a ? are optional.
// AT is NAME:PORT, or ADDR:PORT, or lo.X:PORT for the loopback X; the addresses *
// and ** stand for all of IPv4 and of IPv6. An instance has the address 10.0.0.N
// unless told otherwise, N counting from 1.
func TestScripts(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := newScript(t).run(string(want))
			if got == string(want) {
				return
			}
			if !*update {
				t.Fatalf("%s differs; with -update it is rewritten. It gives:\n%s", file, got)
			}
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// script runs lines of text on a Registry.
type script struct {
	t     *testing.T
	r     *Registry
	check *checker
	addrs map[string]netip.Addr
	now   time.Time
	text  strings.Builder
}

func newScript(t *testing.T) *script {
	r := New()
	return &script{t: t, r: r, check: newChecker(t, r), addrs: map[string]netip.Addr{}, now: epoch}
}

func (s *script) run(text string) string {
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, "  ") {
			continue // what came of it the last time
		}
		words := strings.Fields(line)
		switch {
		case len(words) == 0 || words[0] == "#":
			fmt.Fprintln(&s.text, line)
		case words[0] == "instance":
			fmt.Fprintln(&s.text, line)
			s.add(s.now, s.instance(words[1:]))
		default:
			at := epoch.Add(s.duration(words[0]))
			s.tickUntil(at)
			fmt.Fprintln(&s.text, line)
			switch words[1] {
			case "until":
			case "added":
				s.add(at, s.instance(words[2:]))
			case "hashealth":
				s.r.SetHasHealth(words[2], len(words) == 3)
				s.tell(at)
			case "waiting":
				holds, held := s.r.Waiting(words[2])
				fmt.Fprintf(&s.text, "  %v %s waits for %d and is waited for by %d\n", at.Sub(epoch), words[2], holds, held)
			case "diagnose":
				f, ok := s.r.Diagnose(words[2], s.at(words[4]))
				fmt.Fprintf(&s.text, "  %v %v %s about %s: %s\n", at.Sub(epoch), ok, f.Kind, f.About, f.Cause)
			default:
				s.step(at, s.input(words[1], words[2:]))
			}
		}
	}
	return s.text.String()
}

// tickUntil gives the ticks that are due up to at, as a caller does.
func (s *script) tickUntil(at time.Time) {
	for range 1000 {
		next, ok := s.r.Next()
		if !ok || next.After(at) {
			s.now = at
			return
		}
		s.step(next, Tick{})
	}
	s.t.Fatal("Next does not get past a time that Step was given")
}

func (s *script) add(at time.Time, i Instance) {
	s.check.add(i)
	s.tell(at)
}

// tell has the registry tell what comes of a description.
func (s *script) tell(at time.Time) {
	if len(s.r.described) > 0 {
		s.step(at, Tick{})
	}
}

func (s *script) step(at time.Time, in Input) {
	for _, o := range s.check.step(at, in) {
		fmt.Fprintf(&s.text, "  %v %s\n", at.Sub(epoch), lineOf(o))
	}
}

func (s *script) instance(words []string) Instance {
	i := Instance{Name: words[0], Service: words[0], HoldTimeout: time.Minute}
	i.Addrs = []netip.Addr{netip.AddrFrom4([4]byte{10, 0, 0, byte(len(s.addrs) + 1)})}
	if addr, known := s.addrs[i.Name]; known {
		i.Addrs[0] = addr
	}
	for _, word := range words[1:] {
		key, value, _ := strings.Cut(word, "=")
		list := strings.Split(value, ",")
		switch key {
		case "service":
			i.Service = value
		case "addr":
			i.Addrs = nil
			for _, a := range list {
				i.Addrs = append(i.Addrs, s.addr(a))
			}
		case "ports":
			for _, p := range list {
				i.Ports = append(i.Ports, uint16(s.number(p)))
			}
		case "timeout":
			i.HoldTimeout = s.duration(value)
		case "jobs":
			i.Requires = append(i.Requires, requirements(ServiceCompleted, list)...)
		case "healthy":
			i.Requires = append(i.Requires, requirements(ServiceHealthy, list)...)
		case "health":
			i.HasHealth = true
		case "self":
			i.HoldSelf = true
		case "nohold":
			i.NoHold = true
		default:
			s.t.Fatalf("unknown property %q", word)
		}
	}
	s.addrs[i.Name] = i.Addrs[0]
	return i
}

func requirements(c Condition, services []string) (rs []Requirement) {
	for _, service := range services {
		name, optional := strings.CutSuffix(service, "?")
		rs = append(rs, Requirement{name, c, !optional})
	}
	return rs
}

func (s *script) input(verb string, words []string) Input {
	has := func(word string) bool { return slices.Contains(words, word) }
	switch verb {
	case "started":
		return Started{words[0]}
	case "ended":
		return Ended{words[0], s.number(words[1]), has("final")}
	case "listened":
		return Listened{words[0], s.at(words[1]), has("probe"), has("v6only")}
	case "unlistened":
		return Unlistened{s.at(words[0])}
	case "removed":
		return Removed{words[0]}
	case "served":
		return Served{s.at(words[0])}
	case "connect":
		in := Connect{ID: uint64(s.number(words[0])), Client: words[1], Target: s.at(words[3])}
		if has("since") {
			in.Began = epoch.Add(s.duration(words[5]))
		}
		return in
	case "health":
		return Health{words[0], map[string]HealthState{"healthy": Healthy, "unhealthy": Unhealthy}[words[1]]}
	case "gone":
		return Gone{uint64(s.number(words[0]))}
	case "take":
		return Take{s.at(words[0]), s.number(words[1])}
	}
	s.t.Fatalf("unknown input %q", verb)
	return nil
}

func (s *script) at(text string) netip.AddrPort {
	colon := strings.LastIndex(text, ":")
	return netip.AddrPortFrom(s.addr(text[:colon]), uint16(s.number(text[colon+1:])))
}

func (s *script) addr(text string) netip.Addr {
	addr, ok := s.addrs[text]
	lo, isLoopback := strings.CutPrefix(text, "lo.")
	switch {
	case ok:
		return addr
	case isLoopback:
		return netip.IPv6Loopback().WithZone(lo)
	case text == "*":
		return netip.IPv4Unspecified()
	case text == "**":
		return netip.IPv6Unspecified()
	}
	return netip.MustParseAddr(text)
}

func (s *script) number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

func (s *script) duration(text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		s.t.Fatal(err)
	}
	return d
}

// lineOf writes an output as its name and its fields.
func lineOf(o Output) string {
	name := strings.ToLower(strings.TrimPrefix(fmt.Sprintf("%T", o), "registry."))
	switch o := o.(type) {
	case Hold:
		return fmt.Sprintf("hold %d %s -> %s %v: %s", o.ID, o.Client, o.Server, o.Target, o.Cause)
	case Release:
		return fmt.Sprintf("release %d after %v: %s", o.ID, o.Elapsed, o.Cause)
	case Refuse:
		return fmt.Sprintf("refuse %d after %v: %s", o.ID, o.Elapsed, o.Cause)
	case Expire:
		return fmt.Sprintf("expire %d after %v: %s", o.ID, o.Elapsed, o.Cause)
	case Warn:
		return fmt.Sprintf("warn %s -> %s: %s", o.Client, cmp.Or(o.Server, "all"), o.Cause)
	case Cycle:
		if !o.Ended {
			return fmt.Sprint("cycle ", o.Members)
		}
		return fmt.Sprintf("cycle %v ended", o.Members)
	default:
		return name + " " + strings.Trim(fmt.Sprint(o), "{}")
	}
}
