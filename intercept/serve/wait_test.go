package serve

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"
)

// script is a server that answers its n-th connection with the n-th reply, and
// all later ones with the last; "" = close without a word.
func script(t *testing.T, replies ...string) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte(replies[min(i, len(replies)-1)]))
			_ = c.(*net.TCPConn).CloseWrite()
			var b [64]byte
			_, _ = c.Read(b[:])
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return netip.MustParseAddrPort(l.Addr().String())
}

func TestWaitScripted(t *testing.T) {
	busy := string(pgError("SFATAL\x00C57P03\x00\x00"))
	tests := []struct {
		name    string
		probe   Probe
		replies []string
	}{
		{"postgres starts", postgres(), []string{busy, busy, busy, "R\x00\x00\x00\x08\x00\x00\x00\x03"}},
		{"postgres dies once, then serves", postgres(), []string{"", busy, "", "R\x00\x00\x00\x08\x00\x00\x00\x03"}},
		{"never a word: as good as serving", redis(), []string{""}},
		{"another protocol", redis(), []string{"SSH-2.0"}},
		{"redis loads", redis(), []string{"-LOADING x\r\n", "-LOADING x\r\n", "+PONG\r\n"}},
		{"mysql greets late", mysql(), []string{"", "", "", "", "", "\x5b\x00\x00\x00\x0a10.11"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			addr := script(t, tt.replies...)
			if err := Wait(t.Context(), tt.probe, addr, Options{Interval: time.Millisecond}); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestWaitEnds(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	mute, err := net.Listen("tcp", "127.0.0.1:0") // accepts in its backlog, says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = mute.Close() }()
	for name, l := range map[string]net.Listener{"nobody listens": closed, "no answer": mute} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			begin := time.Now()
			err := Wait(ctx, redis(), netip.MustParseAddrPort(l.Addr().String()), Options{})
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error %v, want deadline exceeded", err)
			}
			if d := time.Since(begin); d > 5*time.Second {
				t.Errorf("Wait returned after %v", d)
			}
		})
	}
}
