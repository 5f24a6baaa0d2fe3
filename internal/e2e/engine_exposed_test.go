package e2e

import (
	"testing"

	"upall/internal/event"
	"upall/internal/testenv"
)

// A server whose image alone says that it is one is not ready before it listens,
// however long that takes.
func TestE2EEngineExposed(t *testing.T) {
	t.Parallel()
	forAnEngine(t, func(t *testing.T, e testenv.Engine) {
		p := newPod(t, e, `
  server: {build: ., stop_grace_period: 1s, volumes: ["TOOLS:/tools:ro", "HERE:/here"], command: [/tools/server, -gate, /here/gate]}
  calm:   {BOX, command: [sleep, "1000"]}
`)
		image := p.name + "-server"
		t.Cleanup(func() { _ = afterTest(p.dockerCommand("rmi", "-f", image)).Run() })
		p.write("Dockerfile", "FROM upall-test/busybox:1\nEXPOSE 7000/tcp\n")
		gate := p.gate("gate")
		r := p.up()
		is := func(of event.Type, service string) match {
			return func(e event.Event) bool { return e.Type == of && e.Service == service }
		}
		r.wait("the start of the server", startedAs("server"))
		r.wait("the readiness of who never listens", is(event.Ready, "calm"))
		if early := r.all(is(event.Ready, "server")); len(early) > 0 {
			t.Errorf("the server is ready after %v, and does not listen", early[0].Elapsed)
		}
		gate.open()
		r.wait("the readiness of the server", is(event.Ready, "server"))
		r.before("the listener", "readiness", is(event.Listening, "server"), is(event.Ready, "server"))
		r.interrupt()
	})
}
