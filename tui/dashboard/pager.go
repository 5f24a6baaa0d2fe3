package dashboard

import (
	"bufio"
	"fmt"
	"io"
	"os/exec"
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// pager shows a text on the terminal that the dashboard has left for it. Without a
// program for that, it prints it, so that it stays in the terminal's scrollback, and
// waits for a line.
type pager struct {
	text    string
	program []string
	in      io.Reader
	out     io.Writer
	err     io.Writer
}

func newPager(text string, program []string) *pager { return &pager{text: text, program: program} }

// SetStdin is called with the terminal.
func (p *pager) SetStdin(r io.Reader) { p.in = r }

// SetStdout is called with the terminal.
func (p *pager) SetStdout(w io.Writer) { p.out = w }

// SetStderr is called with the terminal.
func (p *pager) SetStderr(w io.Writer) { p.err = w }

// Run returns when the user has read enough. A pager reads its keys from the terminal
// itself.
func (p *pager) Run() error {
	if len(p.program) > 0 {
		cmd := exec.Command(p.program[0], p.program[1:]...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(p.text), p.out, p.err
		return cmd.Run()
	}
	if _, err := fmt.Fprintf(p.out, "%s\n(enter goes back)", p.text); err != nil {
		return err
	}
	_, err := bufio.NewReader(p.in).ReadString('\n')
	return err
}

// stripped are lines without colours.
func stripped(lines []string) string {
	var out strings.Builder
	for _, l := range lines {
		out.WriteString(strings.TrimRight(ansi.Strip(l), " ") + "\n")
	}
	return out.String()
}
