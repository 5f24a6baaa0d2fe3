package e2e

import (
	"strings"
	"sync"
	"testing"

	"upall/internal/testenv"
)

// source is a program that is built at its first use, for not every machine
// has its compiler.
type source struct {
	compiler string
	args     string // TOOLS stands for the folder of the tools
	once     sync.Once
	err      error // Valid after once.
}

var sources = map[string]*source{
	"connect":      {compiler: "gcc", args: "-o TOOLS/connect TOOLS/clients/connect.c"},
	"connect-musl": {compiler: "musl-gcc", args: "-static -o TOOLS/connect-musl TOOLS/clients/connect.c"},
	"query":        {compiler: "gcc", args: "-I/usr/include/postgresql -o TOOLS/query TOOLS/clients/query.c -lpq"},
	"Client":       {compiler: "javac", args: "-d TOOLS TOOLS/clients/java/Client.java"},
}

// needCompiled builds a program of testdata/clients, if it is not built yet.
func needCompiled(t *testing.T, name string) {
	t.Helper()
	s := sources[name]
	compiler := testenv.NeedProgram(t, s.compiler)
	s.once.Do(func() {
		s.err = build(nil, compiler, strings.Fields(strings.ReplaceAll(s.args, "TOOLS", tools))...)
	})
	if s.err != nil {
		t.Fatal(s.err)
	}
}
