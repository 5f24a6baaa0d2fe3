package forward

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"

	"upall/compose"
)

// signalHandler sends a signal for each record that contains a text.
type signalHandler struct {
	slog.Handler
	text   string
	signal chan<- struct{}
}

func newSignalLogger(text string, signal chan<- struct{}) *slog.Logger {
	return slog.New(signalHandler{slog.DiscardHandler, text, signal})
}

func (h signalHandler) Enabled(context.Context, slog.Level) bool { return true }
func (h signalHandler) WithAttrs([]slog.Attr) slog.Handler       { return h }

func (h signalHandler) Handle(_ context.Context, r slog.Record) error {
	if strings.Contains(r.Message, h.text) {
		select {
		case h.signal <- struct{}{}:
		default:
		}
	}
	return nil
}

func TestPublicAddrs(t *testing.T) {
	var interfaces []net.Addr
	for _, s := range []string{
		"127.0.0.1/8", "::1/128", "127.77.0.1/8", "192.0.2.7/24", "fe80::1/64", "169.254.1.1/16", "2001:db8::7/64", "172.17.0.1/16", "192.0.2.7/32",
	} {
		ip, network, err := net.ParseCIDR(s)
		if err != nil {
			t.Fatal(err)
		}
		network.IP = ip
		interfaces = append(interfaces, network)
	}
	v4 := []string{"127.0.0.1", "172.17.0.1", "192.0.2.7"}
	for isIPv4Only, want := range map[bool][]string{true: v4, false: append(v4, "::1", "2001:db8::7")} {
		var got []string
		for _, a := range publicAddrs(interfaces, isIPv4Only) {
			got = append(got, a.String())
		}
		if !slices.Equal(got, want) {
			t.Errorf("publicAddrs(IPv4 only: %t) = %v, want %v", isIPv4Only, got, want)
		}
	}
}

// TestAllAddresses: one port on all addresses, and the services' own loopback
// addresses stay free.
func TestAllAddresses(t *testing.T) {
	for _, protocol := range []string{"tcp", "udp"} {
		for _, host := range []string{"", "0.0.0.0", "::"} {
			f, err := Open(t.Context(), Config{Service: "web", Publish: compose.Publish{HostIP: host, Target: 80, Protocol: protocol}, Target: newGate().wait})
			if err != nil {
				t.Fatal(err)
			}
			ports := f.Ports()
			t.Logf("%s %q: %v", protocol, host, ports)
			isWrong := func(p netip.AddrPort) bool {
				return p.Addr().IsUnspecified() || p.Port() != ports[0].Port() || host == "0.0.0.0" && !p.Addr().Is4()
			}
			if slices.ContainsFunc(ports, isWrong) {
				t.Errorf("bound to %v", ports)
			}
			l, err := net.Listen("tcp", netip.AddrPortFrom(netip.MustParseAddr("127.77.99.1"), ports[0].Port()).String())
			if err != nil {
				t.Errorf("a service's own address is taken: %v", err)
			} else {
				_ = l.Close()
			}
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	port := addrPort(l.Addr()).Port()
	_, err = Open(t.Context(), Config{
		Service:    "web",
		Publish:    compose.Publish{HostPort: port, Target: 80, Protocol: "tcp"},
		WhoListens: func(uint16) string { return "nginx (pid 7)" },
	})
	if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), `service "web": port`) || !strings.Contains(err.Error(), "in use by nginx (pid 7)") {
		t.Errorf("error %v", err)
	}
}

func TestBadConfig(t *testing.T) {
	for want, publish := range map[string]compose.Publish{
		"host address":            {HostIP: "localhost"},
		"cannot be forwarded":     {Protocol: "sctp"},
		"cannot assign requested": {HostIP: "192.0.2.1"},
	} {
		f, err := Open(t.Context(), Config{Service: "web", Publish: publish})
		if err == nil {
			_ = f.Close()
			t.Errorf("%+v opened", publish)
		} else if !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), `"web"`) {
			t.Errorf("%+v: error %v, want %q", publish, err, want)
		}
	}
}

func TestPrivilegedPort(t *testing.T) {
	f := &Forwarder{config: Config{Service: "web"}}
	err := f.listenError(netip.MustParseAddr("127.0.0.1"), 80, &net.OpError{Op: "listen", Err: syscall.EACCES})
	if !errors.Is(err, ErrPrivilegedPort) || !errors.Is(err, syscall.EACCES) {
		t.Errorf("error %v, want ErrPrivilegedPort", err)
	}
}
