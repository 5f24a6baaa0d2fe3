package dashboard

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"upall/supervisor/control"
)

// fake is a project's supervisor.
type fake struct {
	snapshot control.Snapshot
	record   []byte
	info     control.ServiceInfo
	emit     func(handle func(control.Record) error) error // what Follow gives
	fails    error
	acted    []string
}

func (f *fake) Snapshot(context.Context) (control.Snapshot, error) { return f.snapshot, f.fails }

func (f *fake) Follow(ctx context.Context, _ control.FollowOptions, handle func(control.Record) error) error {
	if f.emit != nil {
		return f.emit(handle)
	}
	<-ctx.Done()
	return ctx.Err()
}

func (f *fake) Stats(ctx context.Context, _ time.Duration, _ func(control.Stats) error) error {
	<-ctx.Done()
	return ctx.Err()
}

func (f *fake) Record(context.Context) (io.ReadCloser, error) {
	if f.record == nil {
		return nil, errors.New("nothing is on record")
	}
	return io.NopCloser(bytes.NewReader(f.record)), nil
}

func (f *fake) Service(_ context.Context, name string) (control.ServiceInfo, error) {
	info := f.info
	info.Service = name
	return info, f.fails
}

func (f *fake) Act(_ context.Context, a control.Action) (uint64, error) {
	f.acted = append(f.acted, fmt.Sprint(a.Verb, " ", strings.Join(a.Services, ",")))
	return 0, f.fails
}

// special are the keys that have no text.
var special = map[string]tea.KeyPressMsg{
	"enter": {Code: tea.KeyEnter}, "esc": {Code: tea.KeyEscape}, "tab": {Code: tea.KeyTab}, "shift+tab": {Code: tea.KeyTab, Mod: tea.ModShift},
	"up": {Code: tea.KeyUp}, "down": {Code: tea.KeyDown}, "pgup": {Code: tea.KeyPgUp}, "pgdown": {Code: tea.KeyPgDown},
	"home": {Code: tea.KeyHome}, "end": {Code: tea.KeyEnd}, "backspace": {Code: tea.KeyBackspace}, "space": {Code: ' ', Text: " "},
}

// pressed is the message of a key.
func pressed(name string) tea.KeyPressMsg {
	if k, ok := special[name]; ok {
		return k
	}
	if letter, ok := strings.CutPrefix(name, "ctrl+"); ok {
		return tea.KeyPressMsg{Code: rune(letter[0]), Mod: tea.ModCtrl}
	}
	var number int
	if n, _ := fmt.Sscanf(name, "f%d", &number); n == 1 {
		return tea.KeyPressMsg{Code: tea.KeyF1 + rune(number-1)}
	}
	return tea.KeyPressMsg{Code: []rune(name)[0], Text: name}
}

// pressAll presses keys, and does what their commands are to do.
func pressAll(m *Model, keys string) {
	for name := range strings.FieldsSeq(keys) {
		_, cmd := m.Update(pressed(name))
		perform(m, cmd)
	}
}

// perform runs a command and what follows from it, but for those of the library, whose
// messages it returns.
func perform(m *Model, cmd tea.Cmd) (others []tea.Msg) {
	if cmd == nil {
		return nil
	}
	switch msg := cmd().(type) {
	case nil:
	case tea.BatchMsg:
		for _, c := range msg {
			others = append(others, perform(m, c)...)
		}
	case doneMsg, serviceMsg, timelineMsg, scanMsg, copyMsg, noticeMsg:
		_, next := m.Update(msg)
		others = perform(m, next)
	default:
		others = append(others, msg)
	}
	return others
}

func typeName(m tea.Msg) string { return fmt.Sprintf("%T", m) }

func TestKeyNames(t *testing.T) {
	for _, section := range Keys().Sections() {
		for _, b := range section.Bindings {
			for _, name := range b.Keys() {
				if got := pressed(name).String(); got != name {
					t.Errorf("the key %q is called %q here", name, got)
				}
			}
		}
	}
}
