package bench

import (
	"strconv"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client" //nolint:depguard // an image that is not there yet has to be removed

	"upall/internal/testenv"
)

// BenchmarkEngineAgent brings a project up of which there is nothing, with the
// supervisor on the host and in a container of the engine: there with the image that
// an earlier use has made (agent), and without (agent-first). A small project leaves
// less to do beside the agent's start than a large one.
func BenchmarkEngineAgent(b *testing.B) {
	testenv.NeedEngine(b)
	for _, containers := range []int{2, containerCount} {
		b.Run(strconv.Itoa(containers), func(b *testing.B) { benchmarkAgent(b, containers) })
	}
}

func benchmarkAgent(b *testing.B, containers int) {
	b.Helper()
	on, err := client.New(client.FromEnv)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = on.Close() }()
	up := func(name, agent string) timed {
		p := newEngineProject(b, containers)
		return timed{
			func() map[string]time.Duration {
				return map[string]time.Duration{name: p.upall("--agent", agent, "up", "-d")}
			},
			func() { p.upall("down", "-t", "0") },
		}
	}
	later, first := up("agent", "always"), up("agent-first", "always")
	values := engineRounds(b, []timed{
		up("in-place", "never"), later,
		{func() map[string]time.Duration {
			removeAgentImages(b, on)
			return first.do()
		}, first.undo},
	})
	b.ReportMetric(addedTo(values, "agent", "in-place"), "agent-adds-ms")
	b.ReportMetric(addedTo(values, "agent-first", "in-place"), "agent-first-adds-ms")
}

func removeAgentImages(b *testing.B, on *client.Client) {
	b.Helper()
	list, err := on.ImageList(b.Context(), client.ImageListOptions{Filters: client.Filters{}.Add("label", "dev.upall.agent")})
	if err != nil {
		b.Fatal(err)
	}
	for _, i := range list.Items {
		_, err := on.ImageRemove(b.Context(), i.ID, client.ImageRemoveOptions{})
		if err != nil && !errdefs.IsConflict(err) { // another's, who uses it
			b.Fatal(err)
		}
	}
}

// addedTo is the median of what name takes longer than base in the same round.
func addedTo(values map[string][]float64, name, base string) float64 {
	var added []float64
	for round, v := range values[name] {
		added = append(added, v-values[base][round])
	}
	return median(added)
}
