package compose

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// ports reads expose and ports. Ranges are expanded; the lists are sorted and
// hold nothing twice. SCTP is the engine's own business, and nothing that a
// process could be offered.
func ports(config types.ServiceConfig, runtime Runtime) ([]Port, []Publish, error) {
	var declared []Port
	var published []Publish
	for i, entry := range config.Expose {
		if runtime == Engine && strings.HasSuffix(strings.ToLower(entry), "/sctp") {
			continue
		}
		exposed, err := parseExpose(entry)
		if err != nil {
			return nil, nil, fieldErrorf(fmt.Sprintf("services.%s.expose[%d]", config.Name, i), "%v", err)
		}
		declared = append(declared, exposed...)
	}
	for i, entry := range config.Ports {
		if runtime == Engine && strings.EqualFold(entry.Protocol, "sctp") {
			continue
		}
		publish, err := parsePublish(entry)
		if err != nil {
			return nil, nil, fieldErrorf(fmt.Sprintf("services.%s.ports[%d]", config.Name, i), "%v", err)
		}
		declared = append(declared, Port{Number: publish.Target, Protocol: publish.Protocol})
		published = append(published, publish)
	}
	slices.SortFunc(declared, func(a, b Port) int {
		return cmp.Or(cmp.Compare(a.Number, b.Number), cmp.Compare(a.Protocol, b.Protocol))
	})
	slices.SortFunc(published, func(a, b Publish) int {
		return cmp.Or(cmp.Compare(a.Target, b.Target), cmp.Compare(a.Protocol, b.Protocol),
			cmp.Compare(a.HostPort, b.HostPort), cmp.Compare(a.HostPortEnd, b.HostPortEnd), cmp.Compare(a.HostIP, b.HostIP))
	})
	return slices.Compact(declared), slices.Compact(published), nil
}

// parseExpose reads an entry of expose: "3000", "3000-3005", "53/udp".
func parseExpose(entry string) ([]Port, error) {
	text, protocol, _ := strings.Cut(entry, "/")
	protocol, err := parseProtocol(protocol)
	if err != nil {
		return nil, err
	}
	first, last, err := parseRange(text)
	if err != nil {
		return nil, err
	}
	var exposed []Port
	for number := int(first); number <= int(last); number++ {
		exposed = append(exposed, Port{Number: uint16(number), Protocol: protocol}) //nolint:gosec // number is at most last.
	}
	return exposed, nil
}

// parsePublish reads an entry of ports, of which compose-go has expanded the
// ranges of targets.
func parsePublish(entry types.ServicePortConfig) (Publish, error) {
	protocol, err := parseProtocol(entry.Protocol)
	if err != nil {
		return Publish{}, err
	}
	if entry.Target < 1 || entry.Target > 65535 {
		return Publish{}, fmt.Errorf("target %d is not a port (1-65535)", entry.Target)
	}
	publish := Publish{HostIP: entry.HostIP, Target: uint16(entry.Target), Protocol: protocol}
	if entry.Published == "" || entry.Published == "0" {
		return publish, nil
	}
	first, last, err := parseRange(entry.Published)
	if err != nil {
		return Publish{}, fmt.Errorf("published %w", err)
	}
	publish.HostPort = first
	if last > first {
		publish.HostPortEnd = last
	}
	return publish, nil
}

func parseProtocol(text string) (string, error) {
	switch protocol := strings.ToLower(text); protocol {
	case "":
		return "tcp", nil
	case "tcp", "udp":
		return protocol, nil
	}
	return "", fmt.Errorf("protocol %q is not supported (supported: tcp, udp)", text)
}

// parseRange reads "3000" or "3000-3005".
func parseRange(text string) (first, last uint16, err error) {
	from, to, isRange := strings.Cut(text, "-")
	if !isRange {
		to = from
	}
	low, errLow := strconv.ParseUint(from, 10, 16)
	high, errHigh := strconv.ParseUint(to, 10, 16)
	if errLow != nil || errHigh != nil || low == 0 || high < low {
		return 0, 0, fmt.Errorf("%q is not a port or a range of ports (1-65535)", text)
	}
	return uint16(low), uint16(high), nil
}
