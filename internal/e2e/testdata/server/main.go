// Command server answers "pong" to each line, or to each HTTP request.
//
// When it starts to listen is up to its caller: it first reads one byte from
// the file -gate (a named pipe, say), then lets -delay pass.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
)

type options struct {
	gate        string
	delay       time.Duration
	family      string
	port        int
	backlog     int
	acceptDelay time.Duration
	count       int
	exitCode    int
	bindFirst   bool
	loopback    bool
	udp         bool
}

func main() {
	var o options
	flag.StringVar(&o.gate, "gate", "", "read one byte from this file before anything else")
	flag.DurationVar(&o.delay, "delay", 0, "then let so much time pass")
	flag.StringVar(&o.family, "family", "4", "4, 6 (IPv6 only), dual or mptcp (IPv4)")
	flag.IntVar(&o.port, "port", 7000, "listen on this port")
	flag.IntVar(&o.backlog, "backlog", 4096, "the argument of listen(2)")
	flag.DurationVar(&o.acceptDelay, "accept-delay", 0, "let so much time pass before each accept")
	flag.IntVar(&o.count, "count", 0, "report when so many connections were accepted")
	flag.BoolVar(&o.bindFirst, "bind-first", false, "bind, say so, and only then wait at the gate")
	flag.BoolVar(&o.loopback, "loopback", false, "listen on 127.0.0.1")
	flag.BoolVar(&o.udp, "udp", false, "take datagrams, do not listen")
	flag.IntVar(&o.exitCode, "exit", -1, "do not listen: exit with this code")
	flag.Parse()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "server:", err)
		os.Exit(1)
	}
}

func run(o options) error {
	if !o.bindFirst {
		if err := o.wait(); err != nil {
			return err
		}
	}
	if o.exitCode >= 0 {
		os.Exit(o.exitCode)
	}
	if o.udp {
		return receive(o)
	}
	listener, err := listen(o)
	if err != nil {
		return fmt.Errorf("listen on port %d: %w", o.port, err)
	}
	fmt.Printf("listening unix_ms=%d\n", time.Now().UnixMilli())
	return serve(listener, o)
}

// wait is why the server is late.
func (o options) wait() error {
	if o.gate != "" {
		if err := pass(o.gate); err != nil {
			return err
		}
	}
	if o.delay > 0 {
		<-time.After(o.delay)
	}
	return nil
}

// pass returns when the gate was opened.
func pass(gate string) error {
	file, err := os.Open(gate)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := file.Read(make([]byte, 1)); err != nil {
		return fmt.Errorf("wait at the gate: %w", err)
	}
	return nil
}

// protoMPTCP is IPPROTO_MPTCP of linux/in.h.
const protoMPTCP = 262

// listen does with plain system calls what package net does, because that one
// has no way to choose the backlog.
func listen(o options) (net.Listener, error) {
	domain, protocol := syscall.AF_INET, 0
	own := &syscall.SockaddrInet4{Port: o.port}
	if o.loopback {
		own.Addr = [4]byte{127, 0, 0, 1}
	}
	var address syscall.Sockaddr = own
	switch o.family {
	case "6", "dual":
		domain, address = syscall.AF_INET6, &syscall.SockaddrInet6{Port: o.port}
	case "mptcp":
		protocol = protoMPTCP
	}
	fd, err := syscall.Socket(domain, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, protocol)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	file := os.NewFile(uintptr(fd), "listener")
	defer file.Close() // FileListener has a duplicate
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		return nil, os.NewSyscallError("setsockopt", err)
	}
	if domain == syscall.AF_INET6 {
		only := 0
		if o.family == "6" {
			only = 1
		}
		if err := syscall.SetsockoptInt(fd, syscall.IPPROTO_IPV6, syscall.IPV6_V6ONLY, only); err != nil {
			return nil, os.NewSyscallError("setsockopt", err)
		}
	}
	if err := syscall.Bind(fd, address); err != nil {
		return nil, os.NewSyscallError("bind", err)
	}
	if o.bindFirst {
		fmt.Println("bound")
		if err := o.wait(); err != nil {
			return nil, err
		}
	}
	if err := syscall.Listen(fd, o.backlog); err != nil {
		return nil, os.NewSyscallError("listen", err)
	}
	return net.FileListener(file)
}

// receive takes datagrams and answers none.
func receive(o options) error {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{Port: o.port})
	if err != nil {
		return err
	}
	defer conn.Close() // it ends with the program
	for buffer := make([]byte, 1); ; {
		if _, _, err := conn.ReadFrom(buffer); err != nil {
			return err
		}
	}
}

func serve(listener net.Listener, o options) error {
	for accepted := 1; ; accepted++ {
		if o.acceptDelay > 0 {
			<-time.After(o.acceptDelay)
		}
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		if accepted == o.count {
			fmt.Printf("accepted=%d unix_ms=%d\n", accepted, time.Now().UnixMilli())
		}
		go func() {
			if err := answer(conn); err != nil && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
				fmt.Fprintln(os.Stderr, "server:", err)
			}
		}()
	}
}

const page = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\nConnection: close\r\n\r\npong\n"

// answer serves one connection until its client closes it.
func answer(conn net.Conn) error {
	defer conn.Close()
	lines := bufio.NewScanner(conn)
	isHTTP := false
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, "GET ") {
			isHTTP = true
		}
		if !isHTTP {
			if _, err := conn.Write([]byte("pong\n")); err != nil {
				return err
			}
			continue
		}
		if line == "" { // the end of the request's header
			_, err := conn.Write([]byte(page))
			return err
		}
	}
	return lines.Err()
}
