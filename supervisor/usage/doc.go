// Package usage tells what instances use of the machine: from the files of a
// container's control group, and of the processes below a guard.
//
// Use: Container for one container; Processes for a Table of all, and its Program
// for each program of the process runtime.
// Ownership: nothing is kept open.
// Promises: reads files of proc(5) and cgroups(7) alone. What ends meanwhile is left
// out. CPU time only grows, but for that of processes whose parent does not wait for
// them.
// Tests: against files in a folder, and against a process of a known size.
package usage
