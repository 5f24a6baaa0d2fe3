// Command go connects once with package net and exchanges one line.
//
//	go HOST PORT
package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"time"
)

func main() {
	began := time.Now()
	err := exchange(net.JoinHostPort(os.Args[1], os.Args[2]))
	took := time.Since(began).Milliseconds()
	if err != nil {
		fmt.Printf("error %v after=%d\n", err, took)
		os.Exit(1)
	}
	fmt.Printf("ok %d\n", took)
}

func exchange(address string) error {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := fmt.Fprintln(conn, "ping"); err != nil {
		return err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil && line != "pong\n" {
		err = fmt.Errorf("answer %q", line)
	}
	return err
}
