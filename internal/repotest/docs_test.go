package repotest

import (
	"fmt"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestPackageDocs holds that each package says once what it is for.
func TestPackageDocs(t *testing.T) {
	for _, p := range packages(t) {
		var files []string
		for _, name := range slices.Concat(p.GoFiles, p.CgoFiles) {
			files = append(files, filepath.Join(p.Dir, name))
		}
		documented, err := withPackageComment(files)
		if err != nil {
			t.Error(err)
			continue
		}
		if problem := docProblem(p.ImportPath, documented); problem != "" {
			t.Error(problem)
		}
	}
}

// withPackageComment returns which of the files have a package comment.
func withPackageComment(files []string) ([]string, error) {
	var documented []string
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			return nil, fmt.Errorf("parse %s: %w", file, err)
		}
		if parsed.Doc != nil && strings.TrimSpace(parsed.Doc.Text()) != "" {
			documented = append(documented, filepath.Base(file))
		}
	}
	return documented, nil
}

func docProblem(importPath string, documented []string) string {
	switch len(documented) {
	case 0:
		return importPath + " has no package comment: say in five short parts what it is for, how to use it, who owns what, what it promises, how to test against it"
	case 1:
		return ""
	default:
		return fmt.Sprintf("%s has a package comment in each of %s: keep one", importPath, strings.Join(documented, ", "))
	}
}

func TestDocProblem(t *testing.T) {
	for _, test := range []struct {
		documented []string
		want       string
	}{
		{nil, "has no package comment"},
		{[]string{"doc.go"}, ""},
		{[]string{"doc.go", "park.go"}, "in each of doc.go, park.go"},
	} {
		got := docProblem("upall/x", test.documented)
		if (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
			t.Errorf("comments in %q: %q, want %q", test.documented, got, test.want)
		}
	}
}
