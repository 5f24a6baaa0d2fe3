package control

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"upall/internal/event"
	"upall/internal/testenv"
)

var update = flag.Bool("update", false, "write the outputs of the examples into docs/api.md")

const apiDoc = "../../docs/api.md"

// timedOut is how curl exits after its --max-time.
const timedOut = 28

// example matches a command of the document and its output.
var example = regexp.MustCompile("(?s)```console\n\\$ ([^\n]*)\n(.*?)```")

// The examples of the document are run as they stand there, and what they show is
// of the same shape as what comes out.
func TestExamplesOfTheDocument(t *testing.T) {
	testenv.NeedProgram(t, "curl")
	shell := testenv.NeedProgram(t, "bash")
	document, err := os.ReadFile(apiDoc)
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t)
	count := 0
	renewed := example.ReplaceAllStringFunc(string(document), func(block string) string {
		count++
		parts := example.FindStringSubmatch(block)
		command := exec.CommandContext(t.Context(), shell, "-c", parts[1])
		command.Env = append(os.Environ(), "SOCKET="+s.path)
		out, err := command.Output()
		if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && (!ok || exit.ExitCode() != timedOut) {
			t.Errorf("%s: %v", parts[1], err)
		}
		shown, err := shapes(parts[2])
		got, outErr := shapes(string(out))
		if err := errors.Join(err, outErr); err != nil {
			t.Errorf("%s: %v", parts[1], err)
		}
		if diff := cmp.Diff(shown, got); diff != "" && !*update {
			t.Errorf("%s: the document differs (-document +got), renew it with -update:\n%s", parts[1], diff)
		}
		return "```console\n$ " + parts[1] + "\n" + string(out) + "```"
	})
	if count < 8 {
		t.Errorf("%d examples were found", count)
	}
	if *update {
		if err := os.WriteFile(apiDoc, []byte(renewed), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// shapes replaces the values of JSON texts by their types.
func shapes(text string) (all []any, err error) {
	for d := json.NewDecoder(strings.NewReader(text)); ; {
		var v any
		if err := d.Decode(&v); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, fmt.Errorf("%q: %w", text, err)
		}
		all = append(all, shape(v))
	}
}

func shape(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = shape(v[k])
		}
	case []any:
		for n := range v {
			v[n] = shape(v[n])
		}
	default:
		return fmt.Sprintf("%T", v)
	}
	return v
}

// Each type of event and each of its fields stands in the document.
func TestEventsOfTheDocument(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile(apiDoc)
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("../../internal/event/event.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, constant := range regexp.MustCompile(`(?m)^\t\w+ +Type += "(\w+)"`).FindAllSubmatch(source, -1) {
		if !strings.Contains(string(document), "`"+string(constant[1])+"`") {
			t.Errorf("docs/api.md does not name the event %s", constant[1])
		}
	}
	for field := range reflect.TypeFor[event.Event]().Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if !strings.Contains(string(document), "`"+name+"`") {
			t.Errorf("docs/api.md does not name the field %s of events", name)
		}
	}
}

// The fields of the table of the snapshot are fields of the snapshot.
func TestSnapshotOfTheDocument(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal((&fake{}).Snapshot())
	if err != nil {
		t.Fatal(err)
	}
	var snapshot map[string]any
	if err := json.Unmarshal(text, &snapshot); err != nil {
		t.Fatal(err)
	}
	document, err := os.ReadFile(apiDoc)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(snapshot)) {
		if !strings.Contains(string(document), name) {
			t.Errorf("docs/api.md does not show the field %s of the snapshot", name)
		}
	}
}
