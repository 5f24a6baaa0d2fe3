package linux

import (
	"errors"
	"net/netip"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// tcpRTOMaxMS is TCP_RTO_MAX_MS of linux/tcp.h, Linux 6.15.
const tcpRTOMaxMS = 44

// Socket is a duplicate of a socket of another process. Its methods act on the
// open file description, so on the other's socket too.
type Socket struct {
	*FD
	Family   int // AF_INET, AF_INET6, ...
	Type     int // SOCK_STREAM, ...
	Protocol int // IPPROTO_TCP, IPPROTO_MPTCP, ...
}

// NewSocket takes over fd and asks what kind of socket it is. On an error,
// ENOTSOCK for one, fd is closed.
func NewSocket(fd *FD) (*Socket, error) {
	s := &Socket{FD: fd}
	for opt, to := range map[int]*int{unix.SO_DOMAIN: &s.Family, unix.SO_TYPE: &s.Type, unix.SO_PROTOCOL: &s.Protocol} {
		v, err := unix.GetsockoptInt(fd.Int(), unix.SOL_SOCKET, opt)
		if err != nil {
			return nil, errors.Join(os.NewSyscallError("getsockopt", err), fd.Close())
		}
		*to = v
	}
	return s, nil
}

// IsTCP tells whether the socket is a TCP or MPTCP stream over IPv4 or IPv6.
func (s *Socket) IsTCP() bool {
	return s.IsIP() && s.Type == unix.SOCK_STREAM &&
		(s.Protocol == unix.IPPROTO_TCP || s.Protocol == unix.IPPROTO_MPTCP)
}

// IsUDP tells whether the socket is a UDP socket over IPv4 or IPv6.
func (s *Socket) IsUDP() bool {
	return s.IsIP() && s.Type == unix.SOCK_DGRAM && s.Protocol == unix.IPPROTO_UDP
}

// IsIP tells whether the socket is of IPv4 or IPv6.
func (s *Socket) IsIP() bool { return s.Family == unix.AF_INET || s.Family == unix.AF_INET6 }

// IsUnconnected tells whether a TCP socket neither listens, nor is connected, nor
// connects already: then connect(2) begins a connection.
func (s *Socket) IsUnconnected() bool {
	info, err := unix.GetsockoptTCPInfo(s.Int(), unix.IPPROTO_TCP, unix.TCP_INFO)
	return err != nil || info.State == unix.BPF_TCP_CLOSE
}

// IsConnecting tells whether the connection of a TCP socket is under way.
func (s *Socket) IsConnecting() bool {
	info, err := unix.GetsockoptTCPInfo(s.Int(), unix.IPPROTO_TCP, unix.TCP_INFO)
	return err == nil && info.State == unix.BPF_TCP_SYN_SENT
}

// Cookie returns the socket's kernel-wide identity (SO_COOKIE of socket(7)).
func (s *Socket) Cookie() (uint64, error) {
	c, err := unix.GetsockoptUint64(s.Int(), unix.SOL_SOCKET, unix.SO_COOKIE)
	return c, os.NewSyscallError("getsockopt SO_COOKIE", err)
}

// Inode returns the number by which sock_diag(7) and /proc name the socket.
func (s *Socket) Inode() (uint64, error) {
	var st unix.Stat_t
	err := unix.Fstat(s.Int(), &st)
	return st.Ino, os.NewSyscallError("fstat", err)
}

// IsNonblock tells whether O_NONBLOCK is set.
func (s *Socket) IsNonblock() bool {
	flags, err := unix.FcntlInt(uintptr(s.Int()), unix.F_GETFL, 0)
	return err == nil && flags&unix.O_NONBLOCK != 0
}

// SetNonblock sets or clears O_NONBLOCK on the open file description.
func (s *Socket) SetNonblock(on bool) error {
	return os.NewSyscallError("fcntl O_NONBLOCK", unix.SetNonblock(s.Int(), on))
}

// SendTimeout returns SO_SNDTIMEO, 0 for none. It bounds a blocking connect.
func (s *Socket) SendTimeout() time.Duration {
	tv, err := unix.GetsockoptTimeval(s.Int(), unix.SOL_SOCKET, unix.SO_SNDTIMEO)
	if err != nil {
		return 0
	}
	return time.Duration(tv.Nano())
}

// Mark ORs bits into the socket's mark (SO_MARK of socket(7), CAP_NET_ADMIN).
func (s *Socket) Mark(bits uint32) error {
	old, err := unix.GetsockoptInt(s.Int(), unix.SOL_SOCKET, unix.SO_MARK)
	if err != nil {
		return os.NewSyscallError("getsockopt SO_MARK", err)
	}
	return os.NewSyscallError("setsockopt SO_MARK",
		unix.SetsockoptInt(s.Int(), unix.SOL_SOCKET, unix.SO_MARK, int(uint32(old)|bits)))
}

// SetPatience makes a connect outlast a long hold: the kernel's limit of SYN
// retries is raised, and the back-off of its timers is capped where the kernel
// can (TCP_SYNCNT of tcp(7); TCP_RTO_MAX_MS, Linux 6.15). The measured reason:
// without it a held SYN ends with ETIMEDOUT after 135 s.
func (s *Socket) SetPatience() error {
	err := unix.SetsockoptInt(s.Int(), unix.IPPROTO_TCP, unix.TCP_SYNCNT, 127)
	if s.Protocol == unix.IPPROTO_MPTCP && errors.Is(err, unix.ENOPROTOOPT) {
		return nil // no MPTCP socket has the option: it stays with the 135 s
	}
	if err != nil {
		return os.NewSyscallError("setsockopt TCP_SYNCNT", err)
	}
	// ENOPROTOOPT before 6.15: the cap is a refinement, nothing depends on it.
	_ = unix.SetsockoptInt(s.Int(), unix.IPPROTO_TCP, tcpRTOMaxMS, 5000)
	return nil
}

// LocalAddr returns the local address, IPv4-mapped as IPv4 (getsockname(2)).
func (s *Socket) LocalAddr() (netip.AddrPort, error) {
	sa, err := unix.Getsockname(s.Int())
	if err != nil {
		return netip.AddrPort{}, os.NewSyscallError("getsockname", err)
	}
	return addrPortOf(sa), nil
}

// Connect starts a connect to addr (connect(2)). The socket should be
// non-blocking.
func (s *Socket) Connect(addr netip.AddrPort) error {
	sa, ok := sockaddrFor(s.Family, addr)
	if !ok {
		return os.NewSyscallError("connect", unix.EAFNOSUPPORT)
	}
	return os.NewSyscallError("connect", unix.Connect(s.Int(), sa))
}

// Reset ends the connection as if its peer had reset it (connect(2), AF_UNSPEC):
// the next call on it fails with ECONNRESET, one that blocks already with EPIPE.
func (s *Socket) Reset() error {
	unspec := unix.RawSockaddr{Family: unix.AF_UNSPEC}
	_, _, errno := unix.Syscall(unix.SYS_CONNECT, uintptr(s.Int()), uintptr(unsafe.Pointer(&unspec)), unsafe.Sizeof(unspec))
	if errno == 0 {
		return nil
	}
	// EBUSY: for a while kernels did not do this to a socket that is read from.
	return os.NewSyscallError("shutdown", unix.Shutdown(s.Int(), unix.SHUT_RDWR))
}

// Bind gives the socket a local address (bind(2)).
func (s *Socket) Bind(addr netip.AddrPort) error {
	sa, ok := sockaddrFor(s.Family, addr)
	if !ok {
		return os.NewSyscallError("bind", unix.EAFNOSUPPORT)
	}
	return os.NewSyscallError("bind", unix.Bind(s.Int(), sa))
}

// Listen is listen(2).
func (s *Socket) Listen(backlog int) error {
	return os.NewSyscallError("listen", unix.Listen(s.Int(), backlog))
}

// IsV6Only tells whether IPV6_V6ONLY of ipv6(7) is set.
func (s *Socket) IsV6Only() bool {
	v, err := unix.GetsockoptInt(s.Int(), unix.IPPROTO_IPV6, unix.IPV6_V6ONLY)
	return err == nil && v != 0
}

// ClearV6Only lets an unbound AF_INET6 socket take an IPv4-mapped address.
func (s *Socket) ClearV6Only() error {
	return os.NewSyscallError("setsockopt IPV6_V6ONLY",
		unix.SetsockoptInt(s.Int(), unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0))
}

// ReuseAddr sets SO_REUSEADDR of socket(7).
func (s *Socket) ReuseAddr() error {
	return os.NewSyscallError("setsockopt SO_REUSEADDR", unix.SetsockoptInt(s.Int(), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1))
}

// Error returns and clears the socket's pending error (SO_ERROR).
func (s *Socket) Error() unix.Errno {
	v, err := unix.GetsockoptInt(s.Int(), unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return Errno(err, unix.EIO)
	}
	return unix.Errno(v)
}

// ListenTCP opens an IPv4 listener on addr with the backlog.
func ListenTCP(addr netip.AddrPort, backlog int) (*Socket, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_TCP)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	s := &Socket{FD: NewFD(fd), Family: unix.AF_INET, Type: unix.SOCK_STREAM, Protocol: unix.IPPROTO_TCP}
	err = s.ReuseAddr()
	if err == nil {
		err = s.Bind(addr)
	}
	if err == nil {
		err = s.Listen(backlog)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// copiedOptions are what a program sets on a socket before listen(2) and what
// the sockets that it accepts inherit or its listener needs. SO_REUSEADDR is not
// among them: s has it for the next start, which connections that remain of this
// one must not keep from the port, and they inherit it.
var copiedOptions = []struct{ level, name int }{
	{unix.SOL_SOCKET, unix.SO_REUSEPORT},
	{unix.SOL_SOCKET, unix.SO_KEEPALIVE},
	{unix.SOL_SOCKET, unix.SO_PRIORITY},
	{unix.SOL_SOCKET, unix.SO_OOBINLINE},
	{unix.IPPROTO_TCP, unix.TCP_NODELAY},
	{unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT},
	{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE},
	{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL},
	{unix.IPPROTO_TCP, unix.TCP_KEEPCNT},
	{unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT},
	{unix.IPPROTO_TCP, unix.TCP_QUICKACK},
}

// CopyOptions gives s what is set otherwise on from: options, buffer sizes and
// O_NONBLOCK. Everything is tried; the errors are joined.
func (s *Socket) CopyOptions(from *Socket) error {
	errs := []error{s.SetNonblock(from.IsNonblock())}
	for _, o := range copiedOptions {
		errs = append(errs, s.copyOption(from, o.level, o.name, 1))
	}
	// The kernel reports twice of what it was given (socket(7)).
	errs = append(errs, s.copyOption(from, unix.SOL_SOCKET, unix.SO_RCVBUF, 2), s.copyOption(from, unix.SOL_SOCKET, unix.SO_SNDBUF, 2))
	return errors.Join(errs...)
}

func (s *Socket) copyOption(from *Socket, level, name, factor int) error {
	want, err := unix.GetsockoptInt(from.Int(), level, name)
	if err != nil {
		return nil // not an option of such a socket
	}
	if have, err := unix.GetsockoptInt(s.Int(), level, name); err != nil || have == want {
		return nil
	}
	return os.NewSyscallError("setsockopt", unix.SetsockoptInt(s.Int(), level, name, want/factor))
}
