// Package compose loads a project from compose files and plans its concurrent
// start.
//
// Use: Load reads the files as "docker compose config" does, by the code of
// compose-go; NewPlan turns the project into what the runtimes need. A Sources
// filled by Load and given to NewPlan lets both name file and line in errors.
// Ownership: nothing here holds a file descriptor or a goroutine beyond its
// call. A Plan is plain data that belongs to the caller; the project that was
// planned is not changed.
// Promises: NewPlan does no input or output, and equal arguments give equal
// plans. Every error about the user's input is one line long, and IsInputError.
// Tests: write compose files to a temporary folder and compare the plan's text
// with a golden file (go test ./compose -update rewrites them).
package compose
