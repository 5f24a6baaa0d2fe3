package agent

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"
)

// frame is a part of a stream in which an engine carries both outputs of a command.
func frame(of stdcopy.StdType, text string) string {
	header := make([]byte, 8)
	header[0] = byte(of)
	binary.BigEndian.PutUint32(header[4:], uint32(len(text)))
	return string(header) + text
}

func out(text string) string  { return frame(stdcopy.Stdout, text) }
func fail(text string) string { return frame(stdcopy.Stderr, text) }

// What a supervisor says first is one line, however it is cut; what it complained
// about counts only where there is none.
func TestFirstLine(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ stream, line, failure string }{
		"a line":                   {out("listening\n"), "listening", ""},
		"in parts":                 {out("list") + out("ening") + out("\n"), "listening", ""},
		"more lines":               {out("failed why\nmore\n"), "failed why", ""},
		"beside complaints":        {fail("warning\n") + out("listening\n") + fail("more\n"), "listening", ""},
		"complaints alone":         {fail("no such ") + fail("file\n"), "", "no such file\n"},
		"no end of line":           {out("listen") + fail("killed\n"), "listen", "killed\n"},
		"nothing":                  {"", "", ""},
		"cut in a header":          {out("listening\n")[:5], "", ""},
		"cut in the line":          {out("listening\n")[:12], "", ""},
		"cut behind a complaint":   {fail("oom\n") + out("listening\n")[:12], "", "oom\n"},
		"a line, then cut":         {out("listening\n") + fail("oom\n")[:9], "listening", ""},
		"no stream of the command": {frame(stdcopy.Systemerr, "the engine ends\n"), "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			line, failure := firstLine(strings.NewReader(test.stream))
			if line != test.line || failure != test.failure {
				t.Errorf("line %q, failure %q; want %q, %q", line, failure, test.line, test.failure)
			}
		})
	}
}

// A supervisor that says nothing more keeps nobody who has its first line: the
// rest of the stream is never read.
func TestFirstLineOfOpenStream(t *testing.T) {
	t.Parallel()
	from, to := io.Pipe()
	go func() { _, _ = io.WriteString(to, out("listening\n")) }() // read at once, or the test fails below
	if line, failure := firstLine(from); line != "listening" || failure != "" {
		t.Errorf("line %q, failure %q; want listening", line, failure)
	}
	if err := to.Close(); err != nil { // ends the copy
		t.Error(err)
	}
}

// pipe is a stream, and the engine's end of its connection.
func pipe(t *testing.T) (s *stream, engine net.Conn) {
	t.Helper()
	here, engine := net.Pipe()
	s = newStream(client.NewHijackedResponse(here, "application/vnd.docker.multiplexed-stream"))
	t.Cleanup(func() {
		_ = engine.Close() // it may be closed
		_ = s.Close()
	})
	return s, engine
}

// answer has the engine send and end.
func answer(t *testing.T, engine net.Conn, stream string) {
	t.Helper()
	go func() {
		_, _ = io.WriteString(engine, stream) // what is lost is missing in what is read
		_ = engine.Close()
	}()
}

// A connection through an engine gives what the command writes, and ends as it does.
func TestStreamReads(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ stream, text, failure string }{
		"output":              {out("HTTP") + out("/2\n"), "HTTP/2\n", ""},
		"nothing":             {"", "", ""},
		"a failure alone":     {fail("upall: reach the project's supervisor: ") + fail("refused\n"), "", "upall: reach the project's supervisor: refused"},
		"output, and failure": {out("HTTP") + fail("reset\n"), "HTTP", "reset"},
		"blank complaints":    {out("HTTP") + fail("\n"), "HTTP", ""},
		"cut":                 {out("HTTP") + out("/2\n")[:9], "HTTP", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, engine := pipe(t)
			answer(t, engine, test.stream)
			text, err := io.ReadAll(s)
			if string(text) != test.text {
				t.Errorf("read %q, want %q", text, test.text)
			}
			if got := message(err); got != test.failure {
				t.Errorf("the error is %q, want %q", got, test.failure)
			}
		})
	}
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// What is written is not framed.
func TestStreamWrites(t *testing.T) {
	t.Parallel()
	s, engine := pipe(t)
	got := make(chan string, 1)
	go func() {
		p := make([]byte, len("PRI *"))
		_, _ = io.ReadFull(engine, p) // what is missing is seen below
		got <- string(p)
	}()
	if n, err := s.Write([]byte("PRI *")); n != len("PRI *") || err != nil {
		t.Errorf("wrote %d bytes (%v)", n, err)
	}
	if text := <-got; text != "PRI *" {
		t.Errorf("the command reads %q, want %q", text, "PRI *")
	}
}

// A large answer comes whole, through small reads too.
func TestStreamLarge(t *testing.T) {
	t.Parallel()
	s, engine := pipe(t)
	want := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	answer(t, engine, out(string(want[:1<<19]))+fail("\n")+out(string(want[1<<19:])))
	var got bytes.Buffer
	if _, err := io.CopyBuffer(struct{ io.Writer }{&got}, struct{ io.Reader }{s}, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("read %d bytes that are not the %d written", got.Len(), len(want))
	}
}

// Close ends a read that waits, and the command's input.
func TestStreamClose(t *testing.T) {
	t.Parallel()
	s, engine := pipe(t)
	read := make(chan error, 1)
	go func() {
		_, err := s.Read(make([]byte, 1))
		read <- err
	}()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := <-read; err == nil {
		t.Error("a read after Close has no error")
	}
	if _, err := engine.Read(make([]byte, 1)); err == nil {
		t.Error("the command's input goes on after Close")
	}
}
