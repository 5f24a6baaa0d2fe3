// Package repotest holds the tests of the repository's own rules.
//
// Use: go test ./internal/repotest; there is nothing to import.
// Ownership: the tests read the tree and change nothing; what they build goes
// to a folder of the test.
// Promises: a failure names the file or the import, the rule and the way out.
// Tests: each rule is a function of plain data, tested with a small example
// that breaks it, before it is applied to the repository.
package repotest
