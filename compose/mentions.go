package compose

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// Mention is that a service names another as a host which it cannot reach: the name
// does not resolve there, so no connect shows it.
type Mention struct {
	Client, Target string
	Where          string // "environment.DATABASE_URL", "command", "entrypoint"
	// Shares: they have a network in common, so the target is only not started.
	Shares bool
}

func (m Mention) String() string {
	if m.Shares {
		return fmt.Sprintf("%s names the host %s, a service that is not started (`upall up %s` starts it)", m.Where, m.Target, m.Target)
	}
	return fmt.Sprintf("%s names the host %s, a service with which it shares no network", m.Where, m.Target)
}

// Mentions returns what services name and cannot reach, sorted by client. runs tells
// which services do, isProcess which of all are processes: names of these reach
// everywhere. A text may mean another thing, so it is to be said only of a service
// that has failed, or when somebody asks.
func Mentions(all types.Services, runs, isProcess func(service string) bool) (found []Mention) {
	for _, client := range slices.Sorted(maps.Keys(all)) {
		config := all[client]
		if !runs(client) || config.NetworkMode != "" {
			continue // whom it reaches in another's namespace is not said by its networks
		}
		for _, target := range slices.Sorted(maps.Keys(all)) {
			shares := isProcess(client) || isProcess(target) || sharesNetwork(config, all[target])
			if target == client || shares && runs(target) {
				continue
			}
			if where := mentionOf(config, target); where != "" {
				found = append(found, Mention{client, target, where, shares})
			}
		}
	}
	return found
}

// sharesNetwork is also true where networks do not tell.
func sharesNetwork(a, b types.ServiceConfig) bool {
	if b.NetworkMode != "" || len(a.Networks) == 0 || len(b.Networks) == 0 {
		return true
	}
	for name := range a.Networks {
		if _, both := b.Networks[name]; both {
			return true
		}
	}
	return false
}

// mentionOf tells where a service names another, "" for nowhere.
func mentionOf(config types.ServiceConfig, target string) string {
	for _, key := range slices.Sorted(maps.Keys(config.Environment)) {
		value := config.Environment[key]
		if value != nil && (namesHost(*value, target) || *value == target && isHostKey(key)) {
			return "environment." + key
		}
	}
	for _, text := range config.Command {
		if namesHost(text, target) {
			return "command"
		}
	}
	for _, text := range config.Entrypoint {
		if namesHost(text, target) {
			return "entrypoint"
		}
	}
	return ""
}

// isHostKey tells whether the value of a variable is a host by its name.
func isHostKey(key string) bool {
	words := strings.FieldsFunc(strings.ToUpper(key), func(r rune) bool { return r == '_' || r == '.' || r == '-' })
	return slices.ContainsFunc(words, func(word string) bool {
		return slices.Contains([]string{"HOST", "HOSTNAME", "ADDR", "ADDRESS", "SERVER", "BROKER", "UPSTREAM", "ENDPOINT", "PGHOST"}, word)
	})
}

var (
	authority = regexp.MustCompile(`://(?:[^\s/@]*@)?([A-Za-z0-9._-]+)`)
	hostPort  = regexp.MustCompile(`(?:^|[\s,;=@"'(\[])([A-Za-z0-9_-]+):([0-9]{2,5})(?:$|[\s,;/"')\]])`)
)

// leastPort: below it a number behind a name is rather the tag of an image.
const leastPort = 20

// namesHost tells whether a text has the name in a URL, or with a port.
func namesHost(text, name string) bool {
	for _, m := range authority.FindAllStringSubmatch(text, -1) {
		if m[1] == name {
			return true
		}
	}
	for rest := text; ; {
		at := hostPort.FindStringSubmatchIndex(rest)
		if at == nil {
			return false
		}
		port, err := strconv.Atoi(rest[at[4]:at[5]])
		if err == nil && port >= leastPort && rest[at[2]:at[3]] == name {
			return true
		}
		rest = rest[at[5]:] // what ends one may begin the next
	}
}
