package e2e

import (
	"os/exec"
	"strings"
	"testing"

	"upall/internal/event"
	"upall/internal/testenv"
)

// confined are clients in containers of many kinds: what an image, a security
// option or another runtime makes of a connect.
const confined = `
  plain:        {BOX, command: [/tools/goclient, server, "7000"]}
  user:         {BOX, command: [/tools/goclient, server, "7000"], user: "1234:1234"}
  read-only:    {BOX, command: [/tools/goclient, server, "7000"], read_only: true}
  no-caps:      {BOX, command: [/tools/goclient, server, "7000"], cap_drop: [ALL], security_opt: ["no-new-privileges:true"]}
  unconfined:   {BOX, command: [/tools/goclient, server, "7000"], security_opt: ["seccomp=unconfined"]}
  own-profile:  {BOX, command: [/tools/goclient, server, "7000"], security_opt: ["seccomp=HERE/profile.json"]}
  terminal:     {BOX, command: [/tools/goclient, server, "7000"], tty: true}
  init:         {BOX, command: [/tools/goclient, server, "7000"], init: true}
  shell:        {BOX, entrypoint: /bin/sh -c, command: ["sh -c '/tools/goclient server 7000'"]}
  entrypoint:   {BOX, entrypoint: [/tools/goclient, server], command: ["7000"], working_dir: /tmp}
  limited:      {BOX, command: [/tools/goclient, server, "7000"], mem_limit: 64m, pids_limit: 50, ulimits: {nofile: 64}}
  scratch:      {image: "upall-test/static:1", command: [dial, "server:7000", "ping\n"]}
  node:         {image: "upall-test/node:1", command: [node, /tools/clients/connect.js, server, "7000"], volumes: ["TOOLS:/tools:ro"]}
  python:       {image: "upall-test/python:1", command: [python3, /tools/clients/sockets.py, asyncio, server, "7000"], volumes: ["TOOLS:/tools:ro"]}
  bash-redirect: {image: "upall-test/debian:1", command: [bash, -c, "exec 3<>/dev/tcp/server/7000; echo ping >&3; head -n 1 <&3"]}
`

const privileged = `
  privileged:   {BOX, command: [/tools/goclient, server, "7000"], privileged: true}
`

// A client is held whatever its container may do.
func TestE2EEngineClients(t *testing.T) {
	t.Parallel()
	forEngines(t, func(t *testing.T, e testenv.Engine) {
		testenv.NeedImages(t, e, "static", "node", "python", "debian")
		services := confined
		// In a machine that has not all capabilities some engines run none without upall either.
		if out, err := exec.CommandContext(t.Context(), "docker", "-H", e.Host, "run", "--rm", "--privileged", "upall-test/busybox:1", "true").CombinedOutput(); err == nil {
			services += privileged
		} else {
			t.Logf("no privileged client: %s", out)
		}
		p := newPod(t, e, lateServer+services)
		p.write("profile.json", `{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["acct"], "action": "SCMP_ACT_ERRNO"}]}`)
		gate := p.gate("gate")
		r := p.up()
		var clients []string
		for line := range strings.Lines(services) {
			if name, _, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
				clients = append(clients, name)
			}
		}
		for _, client := range clients {
			if hold := r.wait("the hold of "+client, holdBegan(client, "server")); hold.Way != event.Parked {
				t.Errorf("the connect of %s is %s, want parked", client, hold.Way)
			}
		}
		gate.open()
		r.allExit(clients...)
		r.interrupt()
	})
}
