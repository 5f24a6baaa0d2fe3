package e2e

import (
	"strings"
	"testing"

	"upall/internal/event"
	"upall/internal/testenv"
)

// Containers have a loopback of their own, and both families. A process has neither:
// upall gives it an address of its own for whatever it binds.
func TestE2EEngineDiagnosisOfAddress(t *testing.T) {
	t.Parallel()
	forAnEngine(t, func(t *testing.T, e testenv.Engine) {
		p := newPod(t, e, `
  inner:   {BOX, command: [/tools/server, -loopback], expose: ["7000"]}
  outer:   {BOX, command: [/tools/goclient, inner, "7000"]}
  six:     {BOX, command: [/tools/server, -family, "6"], expose: ["7000"]}
  byfour:  {BOX, command: [sh, -c, "/tools/goclient $$(grep -w six /etc/hosts | grep -v : | head -n 1 | cut -f1) 7000"]}
  four:    {BOX, command: [/tools/server], expose: ["7000"]}
  bysix:   {BOX, command: [sh, -c, "/tools/goclient $$(grep -w four /etc/hosts | grep : | head -n 1 | cut -f1) 7000"]}
networks: {default: {enable_ipv6: true}}
`)
		r := p.up()
		for _, test := range []struct {
			client string
			kind   event.Kind
			want   string
		}{
			{"outer", event.LoopbackOnly, "outer waits for inner:7000: inner listens on 127.0.0.1:7000 only: have it listen on 0.0.0.0"},
			{"byfour", event.IPv6Only, "byfour is refused by six:7000: six listens on [::]:7000 for IPv6 only, and the connect comes by IPv4: have it listen on 0.0.0.0"},
			{"bysix", event.IPv4Only, "bysix is refused by four:7000: four listens on 0.0.0.0:7000 for IPv4 only, and the connect comes by IPv6: have it listen on [::]"},
		} {
			if got := r.wait("the diagnosis of "+test.client, diagnosed(test.client, test.kind)); got.Message != test.want {
				t.Errorf("it says %q, want %q", got.Message, test.want)
			}
		}
		r.interrupt()
	})
}

// A name that does not resolve is seen in no connect: the files tell what may be meant.
func TestE2EEngineDiagnosisOfName(t *testing.T) {
	t.Parallel()
	forAnEngine(t, func(t *testing.T, e testenv.Engine) {
		p := newPod(t, e, `
  idle:  {BOX, command: [sleep, "1000"], init: true}
  apart: {BOX, command: [/tools/server], networks: [back]}
  lost:  {BOX, command: [sh, -c, "/tools/goclient apart 7000 2>&1; exit 5"], environment: {SERVER: "tcp://apart:7000"}}
networks: {back: {}}
`)
		r := p.up()
		r.waitExit("lost")
		const want = "environment.SERVER names the host apart, a service with which it shares no network"
		r.wait("the warning", warnsOf(want))
		said := p.run("why", "lost").want(0).stdout
		if !strings.Contains(said, "lost exited with code 5") || !strings.Contains(said, "lost: "+want+"\n") {
			t.Errorf("why says %q", said)
		}
		r.interrupt()
	})
}
