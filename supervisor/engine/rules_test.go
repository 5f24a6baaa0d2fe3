package engine

import (
	"errors"
	"testing"
)

func TestOverRules(t *testing.T) {
	raced := errors.New("Error response from daemon: unable to remove jump to DOCKER-ISOLATION-STAGE-1 rule in FORWARD chain:  (iptables failed: iptables --wait -D FORWARD -j DOCKER-ISOLATION-STAGE-1: iptables v1.8.9 (nf_tables):  RULE_DELETE failed (No such file or directory): rule in chain FORWARD\n (exit status 4))")
	other := errors.New("Error response from daemon: Pool overlaps with other one on this address space")
	for name, test := range map[string]struct {
		answers []error
		calls   int
		want    error
	}{
		"at once":       {[]error{nil}, 1, nil},
		"after a race":  {[]error{raced, nil}, 2, nil},
		"another error": {[]error{other, nil}, 1, other},
		"for ever":      {[]error{raced, raced, raced, nil}, 3, raced},
	} {
		t.Run(name, func(t *testing.T) {
			calls := 0
			_, err := overRules(func() (struct{}, error) {
				calls++
				return struct{}{}, test.answers[calls-1]
			})
			if calls != test.calls || !errors.Is(err, test.want) {
				t.Errorf("%d calls and %v, want %d and %v", calls, err, test.calls, test.want)
			}
		})
	}
}
