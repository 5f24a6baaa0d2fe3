// Command loop connects to HOST:PORT again and again, every 20 ms, and ends with
// code 1 at the first connect that fails. What becomes of a connection after
// that is its server's affair.
//
//	loop HOST:PORT
package main

import (
	"fmt"
	"net"
	"os"
	"time"
)

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
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	// Errors from here on are not of the connect.
	_, _ = fmt.Fprintln(conn, "ping")
	_, _ = conn.Read(make([]byte, 16))
	return nil
}
