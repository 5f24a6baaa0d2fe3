// Command loop connects to HOST:PORT again and again, every 20 ms, says "late" when
// it had to wait, and ends with code 1 at the first connect that fails. What becomes of a connection after
// that is its server's affair.
//
//	loop HOST:PORT
package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"
)

// wait is what a connect takes at most that nothing holds up.
const wait = 200 * time.Millisecond

func main() {
	for n := 1; ; n++ {
		if err := exchange(os.Args[1]); err != nil {
			fmt.Printf("connect %d: %v\n", n, err)
			os.Exit(1)
		}
		<-time.After(20 * time.Millisecond)
	}
}

func exchange(address string) error {
	began := time.Now()
	conn, err := net.Dial("tcp", address)
	if errors.Is(err, syscall.ECONNRESET) {
		return nil // it was connected, and the server ended before it took it
	}
	if err != nil {
		return err
	}
	if took := time.Since(began); took > wait {
		fmt.Println("late", took, "since", began.UTC().Format("15:04:05.000"))
	}
	defer conn.Close()
	// Errors from here on are not of the connect; nor is an answer that does not
	// come, because the server's network is gone.
	_ = conn.SetDeadline(time.Now().Add(100 * time.Millisecond))
	_, _ = fmt.Fprintln(conn, "ping")
	_, _ = conn.Read(make([]byte, 16))
	return nil
}
