// Command crowd opens many connections at once, each with one connect and no
// second try, exchanges one line on each, and reports how that went.
//
//	crowd [-n 1000] [-threads] HOST PORT
//
// With -threads each connect is a blocking system call in a thread of its own;
// without, the connects are non-blocking ones of package net.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"
)

func main() {
	count := flag.Int("n", 1000, "how many connections")
	threads := flag.Bool("threads", false, "blocking connects, a thread each")
	flag.Parse()
	failed, err := run(*count, *threads, flag.Arg(0), flag.Arg(1))
	if err != nil {
		fmt.Fprintln(os.Stderr, "crowd:", err)
		os.Exit(2)
	}
	if failed > 0 {
		os.Exit(1)
	}
}

// outcome is the end of one connection.
type outcome struct {
	err       error
	connected time.Time // Valid iff err == nil
}

func run(count int, threads bool, host, port string) (failed int, err error) {
	dial := func() (net.Conn, error) { return net.Dial("tcp", net.JoinHostPort(host, port)) }
	if threads {
		address, err := resolve(host, port)
		if err != nil {
			return 0, err
		}
		dial = func() (net.Conn, error) { return dialBlocking(address) }
	}
	outcomes := make([]outcome, count)
	began := time.Now()
	var group sync.WaitGroup
	for i := range outcomes {
		group.Go(func() { outcomes[i] = exchange(dial) })
	}
	group.Wait()
	return report(outcomes, began), nil
}

func exchange(dial func() (net.Conn, error)) outcome {
	conn, err := dial()
	if err != nil {
		return outcome{err: err}
	}
	defer conn.Close()
	connected := time.Now()
	if _, err := conn.Write([]byte("ping\n")); err != nil {
		return outcome{err: err}
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return outcome{err: fmt.Errorf("read the answer: %w", err)}
	}
	if line != "pong\n" {
		return outcome{err: fmt.Errorf("answer %q", line)}
	}
	return outcome{connected: connected}
}

func resolve(host, port string) (*syscall.SockaddrInet4, error) {
	address, err := net.ResolveTCPAddr("tcp4", net.JoinHostPort(host, port))
	if err != nil {
		return nil, err
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return nil, err
	}
	return &syscall.SockaddrInet4{Addr: [4]byte(address.IP.To4()), Port: number}, nil
}

// dialBlocking connects a blocking socket, which holds its thread as long as
// the connect takes.
func dialBlocking(address *syscall.SockaddrInet4) (net.Conn, error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	file := os.NewFile(uintptr(fd), "connection")
	defer file.Close() // FileConn has a duplicate
	for {
		err = syscall.Connect(fd, address)
		if !errors.Is(err, syscall.EINTR) { // the Go runtime's own signals
			break
		}
	}
	if err != nil {
		return nil, os.NewSyscallError("connect", err)
	}
	return net.FileConn(file)
}

func report(outcomes []outcome, began time.Time) (failed int) {
	last := began
	errorCounts := make(map[string]int)
	for _, o := range outcomes {
		if o.err != nil {
			failed++
			errorCounts[rootCause(o.err)]++
			continue
		}
		if o.connected.After(last) {
			last = o.connected
		}
	}
	fmt.Printf("connections=%d failures=%d last_connect_ms=%d last_connect_unix_ms=%d\n",
		len(outcomes), failed, last.Sub(began).Milliseconds(), last.UnixMilli())
	for text, count := range errorCounts {
		fmt.Printf("error %dx %s\n", count, text)
	}
	return failed
}

// rootCause leaves out what differs from connection to connection.
func rootCause(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}
