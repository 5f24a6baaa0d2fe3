// Command load connects while upall is killed, and fails at the first connect that
// does.
//
//	load often RATE FILE HOST:PORT...       RATE times a second, to one after the other
//	load climb FILE HOST FIRST COUNT        once to each port of stairs, in order
//	load once FILE HOST:PORT...             once to each, and end with 0
//	load stairs FIRST COUNT INTERVAL        listen on one port after the other
//
// Each connect is a line of FILE: when it began and how long it took, in
// microseconds, and to whom it was.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"
)

func main() {
	kinds := map[string]func([]string) error{"often": often, "climb": climb, "once": once, "stairs": stairs}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM)
	failed := make(chan error, 1)
	go func() { failed <- kinds[os.Args[1]](os.Args[2:]) }()
	select {
	case err := <-failed:
		if err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
	case <-ended:
	}
}

// times is the file of what was measured.
type times struct {
	mu   sync.Mutex
	file *os.File
}

func open(path string) (*times, error) {
	file, err := os.Create(path)
	return &times{file: file}, err
}

// connect says ping to who answers pong. Only the connect is measured, and until
// answered says that the pong too.
func (t *times) connect(address string, untilAnswered bool) error {
	began := time.Now()
	conn, err := net.Dial("tcp", address)
	took := time.Since(began)
	if err != nil {
		return fmt.Errorf("after %v: %w", took, err)
	}
	defer conn.Close()
	if _, err := fmt.Fprintln(conn, "ping"); err != nil {
		return err
	}
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || line != "pong\n" {
		return fmt.Errorf("%s answers %q, %w", address, line, err)
	}
	if untilAnswered {
		took = time.Since(began)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	_, err = fmt.Fprintf(t.file, "%d %d %s\n", began.UnixMicro(), took.Microseconds(), address)
	return err
}

func often(args []string) error {
	rate, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	t, err := open(args[1])
	if err != nil {
		return err
	}
	targets, failed := args[2:], make(chan error)
	tick := time.NewTicker(time.Second / time.Duration(rate))
	for n := 0; ; n++ {
		select {
		case <-tick.C:
			go func() {
				if err := t.connect(targets[n%len(targets)], false); err != nil {
					failed <- err
				}
			}()
		case err := <-failed:
			return err
		}
	}
}

func climb(args []string) error {
	t, err := open(args[0])
	if err != nil {
		return err
	}
	first, count, err := numbers(args[2], args[3])
	if err != nil {
		return err
	}
	for port := first; port < first+count; port++ {
		if err := t.connect(net.JoinHostPort(args[1], strconv.Itoa(port)), true); err != nil {
			return err
		}
	}
	fmt.Println("climbed")
	select {}
}

func once(args []string) error {
	t, err := open(args[0])
	if err != nil {
		return err
	}
	failed := make(chan error)
	for _, target := range args[1:] {
		go func() { failed <- t.connect(target, true) }()
	}
	for range args[1:] {
		if err := <-failed; err != nil {
			return err
		}
	}
	fmt.Println("connected")
	return nil
}

func numbers(a, b string) (first, second int, err error) {
	first, errA := strconv.Atoi(a)
	second, errB := strconv.Atoi(b)
	return first, second, errors.Join(errA, errB)
}

func stairs(args []string) error {
	first, count, err := numbers(args[0], args[1])
	if err != nil {
		return err
	}
	interval, err := time.ParseDuration(args[2])
	if err != nil {
		return err
	}
	failed := make(chan error)
	for port := first; port < first+count; port++ {
		<-time.After(interval)
		l, err := net.Listen("tcp", ":"+strconv.Itoa(port))
		if err != nil {
			return err
		}
		go func() { failed <- serve(l) }()
	}
	fmt.Println("all listen")
	return <-failed
}

func serve(l net.Listener) error {
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			if _, err := bufio.NewReader(conn).ReadString('\n'); err == nil {
				_, _ = fmt.Fprintln(conn, "pong") // the client fails if it does not come
			}
		}()
	}
}
