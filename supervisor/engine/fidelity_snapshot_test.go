package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/docker/compose/v5/pkg/api"
)

// normalised lists what differs from run to run, by a pattern of the path ("*"
// is one step of it), and what is done with it. Before that, the IDs of the
// project's containers and networks and the names of anonymous volumes have been
// replaced everywhere.
var normalised = []struct {
	path string
	do   func(any) any
	why  string
}{
	{"containers.*.Created", drop, "a time"},
	{"networks.*.Created", drop, "a time"},
	{"volumes.*.CreatedAt", drop, "a time"},
	{"containers.*.GraphDriver.Data", drop, "folders of the storage driver, by layer"},
	{"containers.*.Config.Env", sorted, "Compose sends the entries of a map"},
	{"containers.*.Config.Labels.com.docker.compose.depends_on", sortedText, "Compose joins the entries of a map"},
	{"containers.*.HostConfig.Binds", sorted, "Compose sends the entries of a map"},
	{"containers.*.HostConfig.Mounts", sorted, "Compose sends the entries of a map"},
	{"containers.*.HostConfig.Ulimits", sorted, "Compose sends the entries of a map"},
	{"containers.*.Mounts", sorted, "the engine lists a map"},
}

func drop(any) any { return nil }

func sorted(v any) any {
	list, ok := v.([]any)
	if !ok {
		return v
	}
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b any) int { return strings.Compare(asJSON(a), asJSON(b)) })
	return list
}

func sortedText(v any) any {
	text, ok := v.(string)
	if !ok {
		return v
	}
	entries := strings.Split(text, ",")
	slices.Sort(entries)
	return strings.Join(entries, ",")
}

// anonymous is a volume's name that the engine has chosen.
var anonymous = regexp.MustCompile(`^[0-9a-f]{64}$`)

// anonymousVolumes lists the names of a container's anonymous volumes, and by
// what to replace each.
func anonymousVolumes(container string, inspected any) []string {
	var names []string
	mounts, _ := object(inspected)["Mounts"].([]any)
	for _, m := range mounts {
		if name, _ := object(m)["Name"].(string); anonymous.MatchString(name) {
			names = append(names, name, fmt.Sprintf("ANONYMOUS(%s:%s)", container, object(m)["Destination"]))
		}
	}
	return names
}

// takeSnapshot returns what the engine says of a project, normalised:
// containers by service and number, networks and volumes by name. It is the
// engine's own JSON, with fields of which our client may know nothing.
func takeSnapshot(t *testing.T, host, project string) map[string]any {
	t.Helper()
	engine := rawEngine{t, host}
	filter := "?all=1&filters=" + url.QueryEscape(asJSON(map[string]any{"label": []string{api.ProjectLabel + "=" + project}}))
	containers, networks, volumes := map[string]any{}, map[string]any{}, map[string]any{}
	var names []string // pairs of what there is and what it becomes
	for _, c := range engine.list("/containers/json" + filter) {
		id, labels := c["Id"].(string), c["Labels"].(map[string]any)
		name := labels[api.ServiceLabel].(string) + "-" + labels[api.ContainerNumberLabel].(string)
		containers[name] = engine.object("/containers/" + id + "/json")
		names = append(names, id, "ID("+name+")", id[:12], "ID12("+name+")")
	}
	for _, n := range engine.list("/networks" + filter) {
		id, name := n["Id"].(string), n["Name"].(string)
		networks[name] = engine.object("/networks/" + id)
		names = append(names, id, "ID("+name+")")
	}
	listed := engine.object("/volumes" + filter)
	found, _ := listed["Volumes"].([]any)
	for _, v := range found {
		if name := v.(map[string]any)["Name"].(string); !anonymous.MatchString(name) {
			volumes[name] = engine.object("/volumes/" + name)
		}
	}
	all := map[string]any{"containers": containers, "networks": networks, "volumes": volumes}
	// The first that has it names a volume that several have.
	for _, name := range slices.Sorted(maps.Keys(containers)) {
		names = append(names, anonymousVolumes(name, containers[name])...)
	}
	text := strings.NewReplacer(names...).Replace(asJSON(all))
	var result map[string]any
	if err := json.Unmarshal([]byte(text), &result); err != nil {
		t.Fatal(err)
	}
	return normalise("", result).(map[string]any)
}

func normalise(path string, v any) any {
	for _, n := range normalised {
		if matchesPath(n.path, path) {
			return n.do(v)
		}
	}
	if object, ok := v.(map[string]any); ok {
		for key, value := range object {
			object[key] = normalise(joinPath(path, key), value)
		}
	}
	return v
}

func joinPath(path, key string) string { return strings.TrimPrefix(path+"."+key, ".") }

func matchesPath(pattern, path string) bool {
	quoted := strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, `[^.]+`)
	return regexp.MustCompile("^" + quoted + "$").MatchString(path)
}

func asJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// rawEngine asks an engine in the newest version of its API.
type rawEngine struct {
	t    *testing.T
	host string
}

func (e rawEngine) list(path string) []map[string]any {
	e.t.Helper()
	var list []map[string]any
	e.get(path, &list)
	return list
}

func (e rawEngine) object(path string) map[string]any {
	e.t.Helper()
	var object map[string]any
	e.get(path, &object)
	return object
}

func (e rawEngine) get(path string, into any) {
	e.t.Helper()
	transport := &http.Transport{
		DisableKeepAlives: true, // nothing stays open behind the test
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", strings.TrimPrefix(e.host, "unix://"))
		},
	}
	request, err := http.NewRequestWithContext(e.t.Context(), http.MethodGet, "http://engine"+path, nil)
	if err != nil {
		e.t.Fatal(err)
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		e.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }() // only read
	if response.StatusCode != http.StatusOK {
		e.t.Fatalf("get %s: %s", path, response.Status)
	}
	if err := json.NewDecoder(response.Body).Decode(into); err != nil {
		e.t.Fatalf("get %s: %v", path, err)
	}
}
