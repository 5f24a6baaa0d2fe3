package control

import (
	"time"

	"upall/supervisor/status"
)

// StatsQuery says which samples are wanted.
type StatsQuery struct {
	// Follow: one at once, without rates, and then one each Interval. Else a single
	// one, when the Interval that its rates are of is over.
	Follow   bool
	Interval time.Duration
}

// Stats is what goes over the edges of a project and what its instances use, at one
// moment.
type Stats struct {
	Time time.Time `json:"time"`
	// Interval is what the rates are of: the time since the sample before. 0 = there
	// was none, and all rates are 0.
	Interval  time.Duration   `json:"interval_ns"`
	Edges     []EdgeStats     `json:"edges"`     // those with a connect, ordered as in a Snapshot
	Instances []InstanceStats `json:"instances"` // those that run, by name
}

// EdgeStats is the traffic of one edge: of TCP alone, and of all connections since
// the project came up. Bytes are payload, as applications read and write them.
type EdgeStats struct {
	Client   string `json:"client"`              // as in Edge
	FromHost bool   `json:"from_host,omitempty"` // as in Edge
	Target   string `json:"target,omitempty"`    // as in Edge
	Address  string `json:"address,omitempty"`   // as in Edge
	Port     uint16 `json:"port"`
	Protocol string `json:"protocol"`

	Connects uint64 `json:"connects"`
	Held     uint64 `json:"held"`   // of the connects
	Failed   uint64 `json:"failed"` // refused or expired
	Open     int    `json:"open"`   // connections now
	Sent     uint64 `json:"sent"`   // bytes from the client to the target
	Received uint64 `json:"received"`

	ConnectsPerSecond float64 `json:"connects_per_second"`
	SentPerSecond     float64 `json:"sent_per_second"` // bytes
	ReceivedPerSecond float64 `json:"received_per_second"`
	// RTT is the smoothed round trip time, the mean of the open connections'; 0 =
	// none is open.
	RTT time.Duration `json:"rtt_ns"`
}

// Key is what the edge is known by.
func (e EdgeStats) Key() status.EdgeKey {
	return status.EdgeKey{Client: e.Client, FromHost: e.FromHost, Target: e.Target, Address: e.Address, Port: e.Port, Protocol: e.Protocol}
}

// InstanceStats is what one instance uses.
type InstanceStats struct {
	Service  string  `json:"service"`
	Instance string  `json:"instance"`
	CPU      float64 `json:"cpu"`    // cores that it kept busy: 0.5 = half of one
	Memory   uint64  `json:"memory"` // bytes, without what the kernel can drop
	PIDs     int     `json:"pids"`
}

// ServiceInfo is what the files say of a service, where a Snapshot does not.
type ServiceInfo struct {
	Service     string            `json:"service"`
	Image       string            `json:"image,omitempty"`
	Command     []string          `json:"command,omitempty"` // entrypoint and command
	Environment map[string]string `json:"environment"`       // as the files set it
	Published   []Published       `json:"published"`         // of all its instances, on both runtimes
}
