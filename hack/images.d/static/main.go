// Static is a server and its client in one static program, for images that
// hold nothing else.
//
//	static serve [-http :8080] [-tcp :9090] [-delay 0s]   HTTP that says ok, TCP that echoes
//	static get URL                                        print what a server says
//	static dial HOST:PORT [TEXT]                          print what comes back of TEXT
//	static self                                           be server and client, on 127.0.0.1
//	static version
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "static:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		args = []string{"version"}
	}
	switch command, rest := args[0], args[1:]; {
	case command == "serve":
		return serve(rest)
	case command == "get" && len(rest) == 1:
		return get(rest[0])
	case command == "dial" && len(rest) == 1:
		return dial(rest[0], "hello")
	case command == "dial" && len(rest) == 2:
		return dial(rest[0], rest[1])
	case command == "self":
		return self()
	case command == "version":
		fmt.Println("static", runtime.Version())
		return nil
	}
	return errors.New("usage: static serve|get URL|dial HOST:PORT [TEXT]|self|version")
}

// serve waits for the delay, a server's slow start, and then listens.
func serve(args []string) error {
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	httpAddr := flags.String("http", ":8080", "where to serve HTTP")
	tcpAddr := flags.String("tcp", ":9090", "where to echo")
	delay := flags.Duration("delay", 0, "how long to wait before listening")
	if err := flags.Parse(args); err != nil {
		return err
	}
	time.Sleep(*delay)
	listener, err := net.Listen("tcp", *tcpAddr)
	if err != nil {
		return err
	}
	ended := make(chan error, 2) // one result of each server
	go func() { ended <- echo(listener) }()
	go func() { ended <- http.ListenAndServe(*httpAddr, http.HandlerFunc(sayOK)) }()
	return <-ended
}

func sayOK(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, "ok %s\n", r.URL.Path)
}

// echo returns to each client what it sends.
func echo(listener net.Listener) error {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			io.Copy(conn, conn)
		}()
	}
}

func get(url string) error {
	response, err := http.Get(url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(os.Stdout, response.Body); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("get %s: %s", url, response.Status)
	}
	return nil
}

func dial(addr, text string) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, text); err != nil {
		return err
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		return err
	}
	answer, err := io.ReadAll(conn)
	if err != nil {
		return err
	}
	fmt.Println(string(answer))
	return nil
}

func self() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go echo(listener)
	return dial(listener.Addr().String(), "self")
}
