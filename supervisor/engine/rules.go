package engine

import "strings"

// rulesTries is how often an engine may try to change the machine's packet filter.
const rulesTries = 3

// overRules calls the engine again where another program has changed the packet
// filter at the same moment: a second engine, or a firewall that loads its rules.
// Engines check for a rule and then change it, in two steps, and undo what they
// began when the second one fails.
func overRules[T any](call func() (T, error)) (result T, err error) {
	for range rulesTries {
		if result, err = call(); err == nil || !isOfRules(err) {
			break
		}
	}
	return result, err
}

// isOfRules knows the error by its words, for engines give it no code of its own:
// ErrIPTables of libnetwork/iptables in moby, "(iptables failed: ...)".
func isOfRules(err error) bool {
	return strings.Contains(err.Error(), "iptables failed") || strings.Contains(err.Error(), "ip6tables failed")
}
