package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"upall/compose"
	"upall/internal/event"
	"upall/supervisor/control"
	"upall/supervisor/engine"
	"upall/supervisor/status"
)

// psRow is an instance, or a container that is none: one of `upall run`, or of a
// service that is no longer up.
type psRow struct {
	status.Status
	published []publisher
	container *container // nil: none, or nothing is known of it
}

// publisher is a published port, as Compose has it in JSON.
type publisher struct {
	URL           string `json:"URL"`
	TargetPort    uint16 `json:"TargetPort"`
	PublishedPort uint16 `json:"PublishedPort"`
	Protocol      string `json:"Protocol"`
}

// container is what Compose says of one.
type container struct {
	ID, Name, Service, State, Status string
	Publishers                       []publisher
	fields                           map[string]json.RawMessage // all that it says
	instance                         string
}

// psRows are the instances of the services, then the other containers.
func (v *view) psRows(services []string) (rows []psRow) {
	var containers []*container
	if v.mayHaveContainers() {
		var err error
		if containers, err = v.containers(); err != nil {
			fmt.Fprintf(v.cmd.ErrOrStderr(), "upall: warning: ports of containers are not known: %v\n", err)
		}
	}
	for _, s := range v.of(services) {
		row := psRow{Status: s}
		if s.Runtime == compose.Process {
			row.published = publishedOf(v.snapshot, s.Instance)
		}
		if n := slices.IndexFunc(containers, func(c *container) bool { return row.isOf(c) }); n >= 0 {
			row.container, row.published = containers[n], containers[n].Publishers
			containers = slices.Delete(containers, n, n+1)
		}
		rows = append(rows, row)
	}
	for _, c := range containers {
		if len(services) == 0 || slices.Contains(services, c.Service) {
			rows = append(rows, psRow{
				Status:    status.Status{Service: c.Service, Runtime: compose.Engine, ContainerID: c.ID},
				published: c.Publishers, container: c,
			})
		}
	}
	slices.SortStableFunc(rows, func(a, b psRow) int { return strings.Compare(a.Service, b.Service) })
	return rows
}

// isOf: one container may take the place of another.
func (r *psRow) isOf(c *container) bool {
	return r.Runtime == compose.Engine && (c.ID == r.ContainerID || r.ContainerID == "" && c.instance == r.Instance)
}

// containers asks Compose for the containers of the project.
func (v *view) containers() ([]*container, error) {
	var out, errOut bytes.Buffer
	streams := engine.Streams{In: io.NopCloser(strings.NewReader("")), Out: &out, Err: &errOut}
	err := engine.Command(v.cmd.Context(), streams, []string{
		"--project-name", v.name, "ps", "--all", "--no-trunc", "--format", `{{.Label "com.docker.compose.container-number"}} {{json .}}`,
	})
	if err != nil {
		return nil, err
	}
	return parseContainers(out.String())
}

// parseContainers reads lines of a container's number and what Compose says of it.
func parseContainers(text string) (all []*container, err error) {
	for line := range strings.Lines(text) {
		number, fields, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		c := &container{}
		if err := json.Unmarshal([]byte(fields), c); err != nil {
			return nil, fmt.Errorf("read Compose's list of containers: %w", err)
		}
		if err := json.Unmarshal([]byte(fields), &c.fields); err != nil {
			return nil, fmt.Errorf("read Compose's list of containers: %w", err)
		}
		c.instance = c.Service + "-" + number
		all = append(all, c)
	}
	return all, nil
}

func publishedOf(s control.Snapshot, instance string) (all []publisher) {
	for _, p := range s.Published {
		if p.Instance != instance {
			continue
		}
		urls := []string{p.HostIP}
		if p.HostIP == "" {
			urls = []string{"0.0.0.0", "::"} // as the engine has it
		}
		for _, url := range urls {
			all = append(all, publisher{URL: url, TargetPort: p.Target, PublishedPort: p.HostPort, Protocol: p.Protocol})
		}
	}
	return all
}

func (r *psRow) name() string {
	if r.Instance == "" && r.container != nil {
		return r.container.Name
	}
	return r.Instance
}

// id is the container's ID, or a process's.
func (r *psRow) id() string {
	switch {
	case r.Runtime == compose.Process && r.PID != 0:
		return fmt.Sprint(r.PID)
	case r.container != nil:
		return r.container.ID
	}
	return r.ContainerID
}

// text is the state in words.
func (r *psRow) text(now time.Time) string {
	if r.container != nil && (r.Instance == "" || r.container.State == "paused") {
		return strings.ToLower(r.container.Status)
	}
	return r.Text(now)
}

// isOver tells whether it does not run, and will not by itself.
func (r *psRow) isOver() bool {
	if r.Instance == "" {
		return !slices.Contains([]string{"running", "paused", "restarting"}, r.composeState())
	}
	return r.IsOver()
}

// composeState is the state as Compose has it.
func (r *psRow) composeState() string {
	if r.container != nil {
		return r.container.State
	}
	switch r.State {
	case event.Created, event.Restarting, event.Exited:
		return string(r.State)
	case event.Failed:
		return "dead"
	}
	return "running"
}

// ports are where it listens; one that is declared and not there yet is in
// brackets. Published ones are as Compose shows them, but for IPv6's where it is
// as IPv4's.
func (r *psRow) ports() string {
	var shown []string
	told := map[uint16]bool{}
	for _, p := range r.published {
		if p.PublishedPort == 0 || p.URL == "::" && slices.Contains(r.published, publisher{"0.0.0.0", p.TargetPort, p.PublishedPort, p.Protocol}) {
			continue
		}
		target := fmt.Sprint(p.TargetPort)
		if p.Protocol == "tcp" {
			told[p.TargetPort] = true
			target = r.PortText(p.TargetPort)
		}
		shown = append(shown, p.text(target))
	}
	if r.isOver() {
		return strings.Join(shown, ", ")
	}
	for _, n := range r.TCPPorts() {
		if !told[n] {
			shown = append(shown, r.PortText(n))
		}
	}
	return strings.Join(shown, ", ")
}

// composePorts are the ports as Compose has them.
func (r *psRow) composePorts() string {
	var shown []string
	told := map[uint16]bool{}
	for _, p := range r.published {
		shown = append(shown, p.text(fmt.Sprint(p.TargetPort)))
		told[p.TargetPort] = told[p.TargetPort] || p.Protocol == "tcp"
	}
	for _, n := range r.TCPPorts() {
		if !told[n] {
			shown = append(shown, fmt.Sprintf("%d/tcp", n))
		}
	}
	return strings.Join(shown, ", ")
}

func (p publisher) text(target string) string {
	host := p.URL
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return fmt.Sprintf("%s:%d->%s/%s", host, p.PublishedPort, target, p.Protocol)
}

// json has Compose's fields, and Upall: the instance as the control API has it.
func (r *psRow) json(project string, now time.Time) map[string]any {
	fields := map[string]any{
		"ID": r.ContainerID, "Name": r.name(), "Names": r.name(), "Project": project, "Service": r.Service, "State": r.composeState(), "Status": r.text(now),
		"Health": string(r.Health), "ExitCode": r.Code, "Ports": r.composePorts(),
	}
	fields["Publishers"] = r.published
	if r.published == nil {
		fields["Publishers"] = []publisher{}
	}
	if !r.Started.IsZero() {
		fields["RunningFor"] = status.Span(now.Sub(r.Started)) + " ago"
	}
	if r.container != nil {
		for key, value := range r.container.fields {
			fields[key] = value
		}
	}
	if r.Instance != "" {
		fields["Upall"] = r.Status
	}
	return fields
}
