package dashboard

import (
	"context"
	"errors"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"

	"upall/supervisor/control"
)

// pressing is what a test of a key sees.
type pressing struct {
	m      *Model
	api    *fake
	others []tea.Msg // messages for the library
	opened string
	asked  string // Stop or Kill
}

// press does what keys are to do, in the recorded run.
func press(t *testing.T, keys string) *pressing {
	t.Helper()
	p := &pressing{api: &fake{info: control.ServiceInfo{
		Environment: map[string]string{"DB_PASSWORD": "hunter2", "MODE": "test"},
		Published:   []control.Published{{Instance: "web-1", HostIP: "127.0.0.1", HostPort: 8080, Target: 8080, Protocol: "tcp"}},
	}}}
	p.m = recorded(t, "quickstart", over).model(Options{
		API: p.api, Color: true,
		Stop:  func(context.Context) error { p.asked += "stop "; return nil },
		Kill:  func(context.Context) error { p.asked += "kill "; return nil },
		Open:  func(url string) error { p.opened = url; return nil },
		Shell: func(service string) *exec.Cmd { p.opened = "sh " + service; return exec.Command("true") },
	})
	p.m.Update(tea.WindowSizeMsg{Width: 80, Height: 24})
	for name := range strings.FieldsSeq(keys) {
		_, cmd := p.m.Update(pressed(name))
		p.others = append(p.others, perform(p.m, cmd)...)
	}
	return p
}

func (p *pressing) screen() string { return stripped(strings.Split(p.m.render(), "\n")) }

func (p *pressing) quits() bool {
	return slices.ContainsFunc(p.others, func(m tea.Msg) bool { _, is := m.(tea.QuitMsg); return is })
}

// said wants a text on the screen.
func said(text string) func(*pressing) bool {
	return func(p *pressing) bool { return strings.Contains(p.screen(), text) }
}

func acted(what string) func(*pressing) bool {
	return func(p *pressing) bool { return slices.Equal(p.api.acted, []string{what}) }
}

// toLibrary wants a message of this type for the library.
func toLibrary(name string) func(*pressing) bool {
	return func(p *pressing) bool {
		return slices.ContainsFunc(p.others, func(m tea.Msg) bool { return strings.Contains(strings.ToLower(typeName(m)), name) })
	}
}

// keyTests are by what is pressed, the key in question last.
var keyTests = map[string]func(*pressing) bool{
	"2 1": said("WHY NOT READY"), "2 f8": said("WHY NOT READY"),
	"2": said("CLIENT → SERVER"), "e": said("CLIENT → SERVER"),
	"3": said("beat 1, api"), "l": said("beat 1, api"), "f4": said("beat 1, api"),
	"4": said("held on kv:7000"), "t": said("held on kv:7000"),
	"5": said("BETWEEN SERVICES"), "g": said("BETWEEN SERVICES"), "ctrl+q": said("BETWEEN SERVICES"),
	"tab": said("CLIENT → SERVER"), "]": said("CLIENT → SERVER"),
	"2 shift+tab": said("WHY NOT READY"), "2 [": said("WHY NOT READY"),
	"enter": said("events, the newest first"), "f3": said("events, the newest first"),
	"enter esc": said("WHY NOT READY"),

	"down": said("check exited"), "j": said("check exited"), "down up": said("api is ready"), "down k": said("api is ready"),
	"3 pgup": said("newer"), "3 ctrl+u": said("newer"),
	"3 home pgdown": func(p *pressing) bool { return p.m.logs.follows }, "3 home space": func(p *pressing) bool { return p.m.logs.follows },
	"3 home": func(p *pressing) bool { return !p.m.logs.follows }, "3 <": func(p *pressing) bool { return !p.m.logs.follows },
	"3 home end": said("following"), "3 home G": said("following"), "3 home >": said("following"),

	"r": acted("restart api"), "ctrl+r": acted("restart api"), "down r": acted("restart check"),
	"s": acted("stop api"), "f9": acted("stop api"), "u": acted("start api"), "f7": acted("start api"),
	"E": func(p *pressing) bool { return p.opened == "sh api" && toLibrary("execmsg")(p) },
	"w": func(p *pressing) bool { return p.opened == "http://127.0.0.1:8080" && said("opened http")(p) },

	"/ b e a t enter": said(`"beat": 7 of 7`), "ctrl+f b e a t enter": said(`"beat": 7 of 7`),
	"/ b e a t enter N": said("6 of 7"), "/ b e a t enter ctrl+p": said("6 of 7"),
	"/ b e a t enter N n": said("7 of 7"), "/ b e a t enter ctrl+n": said("1 of 7"),
	"/ b e a t enter esc": func(p *pressing) bool { return p.m.logs.search == "" },
	"3 & k v enter":       func(p *pressing) bool { return said(`with "kv"`)(p) && !said("beat")(p) },
	"3 & k v esc":         said("beat"),
	"down down a":         said("logs of kv"), "a a": said("logs of all services"),
	"f": said("0 newer"), "f5": said("0 newer"),
	"W": func(p *pressing) bool { return p.m.logs.wraps }, "f6": func(p *pressing) bool { return p.m.logs.wraps },
	"y": toLibrary("setclipboard"), "p": toLibrary("execmsg"),

	"enter end v": said("DB_PASSWORD=hunter2"),
	"m":           func(p *pressing) bool { return p.m.View().MouseMode == tea.MouseModeNone },
	"?":           said("Why is a service not ready?"), "f1": said("Why is a service not ready?"),
	"ctrl+z": toLibrary("suspend"),
	"d":      func(p *pressing) bool { return p.quits() && p.m.result().Choice == Detached },
	"ctrl+b": func(p *pressing) bool { return p.quits() && p.m.result().Choice == Detached },
	"q":      said("Leave quickstart?"), "f10": said("Leave quickstart?"), "ctrl+c": said("Leave quickstart?"),
	"q d":                  func(p *pressing) bool { return p.quits() && p.m.result().Choice == Detached },
	"q s":                  func(p *pressing) bool { return p.asked == "stop " && !p.quits() },
	"q esc":                func(p *pressing) bool { return !said("Leave")(p) && !p.quits() },
	"ctrl+c ctrl+c":        func(p *pressing) bool { return p.asked == "stop " && p.m.result().Choice == Stopped },
	"ctrl+c ctrl+c ctrl+c": func(p *pressing) bool { return p.asked == "stop kill " },
}

func TestKeys(t *testing.T) {
	for keys, holds := range keyTests {
		t.Run(keys, func(t *testing.T) {
			p := press(t, keys)
			if !holds(p) {
				t.Errorf("after %q (acted %q, opened %q, asked %q, for the library %T):\n%s", keys, p.api.acted, p.opened, p.asked, p.others, p.screen())
			}
		})
	}
}

// TestEveryKey holds that each key of the map has a test, and that no two bindings
// share one.
func TestEveryKey(t *testing.T) {
	tested := map[string]bool{}
	for keys := range maps.Keys(keyTests) {
		all := strings.Fields(keys)
		tested[all[len(all)-1]] = true
		for _, k := range all {
			tested[k] = tested[k] || k == "ctrl+c"
		}
	}
	owner := map[string]key.Binding{}
	for _, section := range Keys().Sections() {
		for _, b := range section.Bindings {
			for _, name := range b.Keys() {
				if other, taken := owner[name]; taken {
					t.Errorf("%q is for %q and for %q", name, other.Help().Desc, b.Help().Desc)
				}
				owner[name] = b
				isPrompt := name == "/" || name == "&" || name == "ctrl+f" // they end with another key
				if !tested[name] && !isPrompt {
					t.Errorf("no test presses %q (%s)", name, b.Help().Desc)
				}
			}
		}
	}
}

func TestSecretsAreMasked(t *testing.T) {
	p := press(t, "enter end")
	if screen := p.screen(); strings.Contains(screen, "hunter2") || !strings.Contains(screen, "MODE=test") {
		t.Errorf("a secret is shown, or more than secrets is masked:\n%s", screen)
	}
}

func TestLooksSecret(t *testing.T) {
	for line, want := range map[string]bool{
		"PASSWORD=x": true, "api_key=x": true, "GITHUB_TOKEN=x": true, "DATABASE_URL=postgres://me:pw@db/x": true,
		"DATABASE_URL=postgres://db/x": false, "MODE=test": false, "PASSWORD=": false, "URL=http://x/a@b": false,
	} {
		name, value, _ := strings.Cut(line, "=")
		if got := looksSecret(name, value); got != want {
			t.Errorf("%s: %t, want %t", line, got, want)
		}
	}
}

// TestStale holds that an answer to an older question is dropped.
func TestStale(t *testing.T) {
	p := press(t, "enter")
	stale := p.m.detail.tag - 1
	p.m.Update(serviceMsg{tag: stale, info: control.ServiceInfo{Image: "old:1"}})
	p.m.Update(doneMsg{tag: stale, text: "restarted something else"})
	if screen := p.screen(); strings.Contains(screen, "old:1") || strings.Contains(screen, "something else") {
		t.Errorf("a stale answer is shown:\n%s", screen)
	}
}

func TestActionFails(t *testing.T) {
	p := press(t, "")
	p.api.fails = errors.New("no such service")
	pressAll(p.m, "r")
	if !said("error: no such service")(p) {
		t.Errorf("the error is not shown:\n%s", p.screen())
	}
}

func TestNoBrowser(t *testing.T) {
	p := press(t, "")
	p.m.options.Open = func(string) error { return errors.New("none") }
	_, cmd := p.m.Update(pressed("w"))
	p.others = perform(p.m, cmd)
	if !toLibrary("setclipboard")(p) || !said("copied: http://127.0.0.1:8080")(p) {
		t.Errorf("the address is not copied:\n%s", p.screen())
	}
}

func TestMouse(t *testing.T) {
	p := press(t, "")
	p.m.Update(tea.MouseClickMsg{X: 6, Y: 6, Button: tea.MouseLeft}) // the third row of the table
	if p.m.selected != "kv-1" {
		t.Errorf("selected %q, want kv-1", p.m.selected)
	}
	p.m.Update(tea.MouseWheelMsg{X: 6, Y: 20, Button: tea.MouseWheelUp})
	if p.m.logs.follows {
		t.Error("the wheel over the logs does not scroll")
	}
	p.m.Update(tea.MouseClickMsg{X: 14, Y: 2, Button: tea.MouseLeft})
	if p.m.view != viewEdges {
		t.Errorf("a click on a view's name leads to %v", p.m.view)
	}
}
