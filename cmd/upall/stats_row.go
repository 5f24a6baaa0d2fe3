package main

import (
	"fmt"
	"net"
	"strconv"
	"time"

	"upall/supervisor/control"
	"upall/tui"
)

// instancesTable is what instances use.
func instancesTable(all []control.InstanceStats) tui.Table {
	table := tui.Table{Columns: []tui.Column{
		{Title: "NAME", Cut: true}, {Title: "SERVICE", Spare: 1}, {Title: "CPU"}, {Title: "MEM"}, {Title: "PIDS"},
	}}
	for _, i := range all {
		table.Rows = append(table.Rows, []string{
			i.Instance, i.Service, fmt.Sprintf("%.1f%%", 100*i.CPU), size(float64(i.Memory)), strconv.Itoa(i.PIDs),
		})
	}
	return table
}

// edgesTable is what goes over the edges.
func edgesTable(all []control.EdgeStats) tui.Table {
	table := tui.Table{Columns: []tui.Column{
		{Title: "CLIENT", Cut: true},
		{Title: "TARGET", Cut: true},
		{Title: "CONNECTS"},
		{Title: "/S", Spare: 5, Nothing: "0"},
		{Title: "HELD", Spare: 4, Nothing: "0"},
		{Title: "FAILED", Spare: 3, Nothing: "0"},
		{Title: "OPEN"},
		{Title: "SENT"},
		{Title: "RECEIVED"},
		{Title: "SENT/S", Spare: 2, Nothing: "0 B"},
		{Title: "RECEIVED/S", Spare: 2, Nothing: "0 B"},
		{Title: "RTT", Spare: 1, Nothing: "-"},
	}}
	for _, e := range all {
		table.Rows = append(table.Rows, []string{
			e.Client, targetOf(e), strconv.FormatUint(e.Connects, 10), rate(e.ConnectsPerSecond),
			strconv.FormatUint(e.Held, 10), strconv.FormatUint(e.Failed, 10), strconv.Itoa(e.Open),
			size(float64(e.Sent)), size(float64(e.Received)), size(e.SentPerSecond), size(e.ReceivedPerSecond), rtt(e.RTT),
		})
	}
	return table
}

// targetOf is "db:5432", "192.0.2.1:443", or what the rest outside is called.
func targetOf(e control.EdgeStats) string {
	switch {
	case e.Target != "":
		return net.JoinHostPort(e.Target, strconv.Itoa(int(e.Port)))
	case e.Address != "":
		return net.JoinHostPort(e.Address, strconv.Itoa(int(e.Port)))
	}
	return "others outside"
}

func rate(perSecond float64) string {
	if perSecond > 0 && perSecond < 10 {
		return strconv.FormatFloat(perSecond, 'f', 1, 64)
	}
	return strconv.FormatFloat(perSecond, 'f', 0, 64)
}

// size is a number of bytes in at most three digits and a unit of 1024.
func size(bytes float64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}
	n := 0
	for bytes >= 999.5 && n < len(units)-1 {
		bytes /= 1024
		n++
	}
	digits := 0
	if n > 0 && bytes < 9.95 {
		digits = 1
	}
	return strconv.FormatFloat(bytes, 'f', digits, 64) + " " + units[n]
}

// rtt is a round trip time; - where no connection is open.
func rtt(d time.Duration) string {
	switch {
	case d == 0:
		return "-"
	case d < time.Millisecond:
		return fmt.Sprintf("%d us", d.Microseconds())
	}
	return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
}
