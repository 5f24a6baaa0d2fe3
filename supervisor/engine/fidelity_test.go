package engine

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/docker/compose/v5/pkg/api"
	sdk "github.com/docker/compose/v5/pkg/compose"
	"github.com/moby/moby/client/pkg/versions"

	"upall/compose"
	"upall/internal/testenv"
)

// The corpus: compose files that together say everything that Compose can make
// a container of. The first line of one that needs a newer engine is
// "# api: VERSION".
const (
	corpusGlob      = "testdata/fidelity/*.yaml"
	corpusProfile   = "used"           // a profile of the corpus; others are not active
	corpusVariable  = "UPALL_FIDELITY" // a variable that the corpus reads
	corpusAPIPrefix = "# api: "
)

// TestFidelity: what upall makes of a file and what docker compose makes of it
// differ in what the table allowed lists, and in nothing else.
func TestFidelity(t *testing.T) {
	for _, engine := range testenv.NeedEngines(t) {
		host := engine.Host
		t.Run(engineName(host), func(t *testing.T) {
			e := openEngine(t, host)
			makeOutside(t, e)
			used := map[string]bool{} // rows of allowed, by path
			files := corpus(t)
			for _, file := range slices.Clone(files) {
				t.Run(corpusName(file), func(t *testing.T) {
					files = slices.DeleteFunc(files, func(other string) bool { return other == file })
					needAPI(t, e, file)
					needImages(t, e, file)
					checkFidelity(t, e, host, file, used)
				})
			}
			if t.Failed() || len(files) > 0 {
				return // not all of the corpus was compared
			}
			for _, row := range allowed {
				if !used[row.path] && (row.by != byProfile || e.HasListenerPath()) {
					t.Errorf("nothing differs in %s: it need not be allowed", row.path)
				}
			}
		})
	}
}

func checkFidelity(t *testing.T, e *Engine, host, file string, used map[string]bool) {
	t.Helper()
	t.Setenv(corpusVariable, "/a value")
	project := "upall-h-fid-" + corpusName(file)
	remove := func() { removeProject(t, e, project) }
	remove() // of a run that was killed
	t.Cleanup(remove)

	createOurs(t, e, project, file)
	ours := takeSnapshot(t, host, project)
	remove()
	createTheirs(t, e, project, file)
	theirs := takeSnapshot(t, host, project)

	for _, d := range differences(ours, theirs) {
		row := d.allowance(e)
		if row == nil {
			t.Errorf("%s\n  upall:          %s\n  docker compose: %s", d.path, asJSON(d.ours), asJSON(d.theirs))
			continue
		}
		used[row.path] = true
		if row.check == nil {
			continue
		}
		if err := row.check(d); err != nil {
			t.Errorf("%s: %v\n  upall:          %s\n  docker compose: %s", d.path, err, asJSON(d.ours), asJSON(d.theirs))
		}
	}
}

// createOurs creates a project's containers as upall does.
func createOurs(t *testing.T, e *Engine, project, file string) {
	t.Helper()
	loaded, err := compose.Load(t.Context(), compose.Options{Files: []string{file}, Name: project, Profiles: []string{corpusProfile}})
	if err != nil {
		t.Fatal(err)
	}
	var options compose.PlanOptions
	if err := e.Survey(t.Context(), project, &options); err != nil {
		t.Fatal(err)
	}
	plan, err := compose.NewPlan(loaded, options)
	if err != nil {
		t.Fatal(err)
	}
	directory := t.TempDir()
	r, err := newCreation(Config{
		Engine: e, Project: loaded, Plan: plan,
		Socket: filepath.Join(directory, "agent"), Directory: directory,
		Logger: slog.New(slog.DiscardHandler),
		Warn:   func(service, message string) { t.Errorf("%s: %s", service, message) },
	})
	if err != nil {
		t.Fatal(err)
	}
	// Without the installation of the shim: a test's executable is no shim for
	// other people's containers.
	if err := r.create(t.Context(), CreateOptions{}); err != nil {
		t.Fatalf("upall: %v", err)
	}
}

// createTheirs creates a project's containers as docker compose does.
func createTheirs(t *testing.T, e *Engine, project, file string) {
	t.Helper()
	service, err := e.service(e.api, sdk.WithEventProcessor(progress(CreateOptions{})))
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := service.LoadProject(t.Context(), api.ProjectLoadOptions{
		ConfigPaths: []string{file}, ProjectName: project, Profiles: []string{corpusProfile}, Offline: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := service.Create(t.Context(), loaded, CreateOptions{}.forCompose(loaded)); err != nil {
		t.Fatalf("docker compose: %v", err)
	}
}

func removeProject(t *testing.T, e *Engine, project string) {
	t.Helper()
	service, err := e.service(e.api, sdk.WithEventProcessor(progress(CreateOptions{})))
	if err == nil {
		err = service.Down(context.Background(), project, api.DownOptions{RemoveOrphans: true, Volumes: true})
	}
	if err != nil {
		t.Errorf("remove project %s: %v", project, err)
	}
}

// corpus returns the paths of the files.
func corpus(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(corpusGlob)
	if err != nil || len(files) == 0 {
		t.Fatalf("no file is %s (%v)", corpusGlob, err)
	}
	for i, file := range files {
		if files[i], err = filepath.Abs(file); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

func corpusName(file string) string { return strings.TrimSuffix(filepath.Base(file), ".yaml") }

// needAPI skips the test of a file that needs a newer engine: it is no lack of
// the machine, so that no setting makes it a failure.
func needAPI(t *testing.T, e *Engine, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	if version, ok := strings.CutPrefix(first, corpusAPIPrefix); ok && versions.LessThan(e.api.ClientVersion(), version) {
		t.Skipf("needs API %s, this engine has %s", version, e.api.ClientVersion())
	}
}

// needImages needs the images of a file: hack/images makes them.
func needImages(t *testing.T, e *Engine, file string) {
	t.Helper()
	t.Setenv(corpusVariable, "/a value")
	project, err := compose.Load(t.Context(), compose.Options{Files: []string{file}})
	if err != nil {
		t.Fatal(err)
	}
	for _, service := range project.Services {
		_, err := e.api.ImageInspect(t.Context(), service.Image)
		testenv.Need(t, err == nil, "the image "+service.Image+" (hack/images $DOCKER_HOST makes it)")
	}
}

// engineName makes the name of a test of an engine's address.
func engineName(host string) string {
	return strings.NewReplacer("unix://", "", "/", "_").Replace(host)
}

// openEngine opens the engine at host, until the test ends.
func openEngine(t *testing.T, host string) *Engine {
	t.Helper()
	t.Setenv(testenv.HostVariable, host)
	e, err := Open(t.Context(), Streams{In: os.Stdin, Out: io.Discard, Err: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("close the engine: %v", err)
		}
	})
	testenv.Need(t, e.NotLocal() == nil, fmt.Sprintf("containers that can be looked into (%v)", e.NotLocal()))
	return e
}
