package linux

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func tcpSocket(t testing.TB) *Socket {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewSocket(NewFD(fd))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestCookies(t *testing.T) {
	for name, threadFDs := range map[string]bool{"by threads": HasPIDFDThread(), "by leaders": false} {
		t.Run(name, func(t *testing.T) {
			c := NewCookies(threadFDs)
			for range 2 {
				s := tcpSocket(t)
				want, err := s.Cookie()
				if err != nil {
					t.Fatal(err)
				}
				if got, err := c.Of(os.Getpid(), s.Int()); err != nil || got != want {
					t.Errorf("Of = %d, %v; want %d", got, err, want)
				}
			}
			if _, err := c.Of(os.Getpid(), 1<<20); !errors.Is(err, unix.EBADF) {
				t.Errorf("of a descriptor that is none: %v", err)
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// BenchmarkCookies is what a connect of a process costs more for its bytes to be
// counted.
func BenchmarkCookies(b *testing.B) {
	c, s := NewCookies(HasPIDFDThread()), tcpSocket(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Of(os.Getpid(), s.Int()); err != nil {
			b.Fatal(err)
		}
	}
	if err := c.Close(); err != nil {
		b.Error(err)
	}
}
