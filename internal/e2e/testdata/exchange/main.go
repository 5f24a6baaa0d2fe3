// Command exchange sends known numbers of bytes over TCP connections, one after the
// other on each of some goroutines, and says what it has sent and received. Without
// -to it is the server.
package main

import (
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// header is in front of what a client sends: how much follows, and how much it wants.
const header = 16

func main() {
	var (
		to      = flag.String("to", "", "connect to this `address`")
		listen  = flag.String("listen", ":7000", "`address` of the server")
		count   = flag.Int("n", 1, "connections")
		beside  = flag.Int("beside", 1, "of them at once")
		up      = flag.Int("up", 0, "most bytes that one sends")
		down    = flag.Int("down", 0, "most bytes that one receives")
		isExact = flag.Bool("exact", false, "send and receive as much as that")
		resets  = flag.Int("resets", 0, "close one of so many with a reset; 0 = none")
		open    = flag.Int("open", 0, "more connections, which stay open")
	)
	flag.Parse()
	if err := run(*to, *listen, plan{*count, *beside, *up, *down, *isExact, *resets, *open}); err != nil {
		fmt.Println("exchange:", err)
		os.Exit(1)
	}
}

type plan struct {
	count, beside, up, down int
	isExact                 bool
	resets, open            int
}

func run(to, listen string, p plan) error {
	if to == "" {
		return serve(listen)
	}
	var sent, received int
	var opened []net.Conn
	for range p.open {
		s, r, conn, err := p.exchange(to, rand.New(rand.NewPCG(0, uint64(len(opened)))))
		if err != nil {
			return err
		}
		sent, received, opened = sent+s, received+r, append(opened, conn)
	}
	s, r, err := p.all(to)
	if err != nil {
		return err
	}
	fmt.Printf("done %d %d\n", sent+s, received+r)
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM, syscall.SIGINT)
	<-end
	for _, conn := range opened {
		_ = conn.Close()
	}
	return nil
}

// all makes the connections that do not stay.
func (p plan) all(to string) (sent, received int, err error) {
	var mu sync.Mutex // guards the results
	var work sync.WaitGroup
	for worker := range p.beside {
		work.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(worker)))
			for n := worker; n < p.count; n += p.beside {
				s, r, conn, oneErr := p.exchange(to, random)
				if oneErr == nil {
					oneErr = p.end(conn.(*net.TCPConn), n)
				}
				mu.Lock()
				sent, received, err = sent+s, received+r, errors.Join(err, oneErr)
				mu.Unlock()
				if oneErr != nil {
					return
				}
			}
		})
	}
	work.Wait()
	return sent, received, err
}

func (p plan) exchange(to string, random *rand.Rand) (sent, received int, conn net.Conn, err error) {
	up, down := p.up, p.down
	if !p.isExact {
		up, down = random.IntN(up+1), random.IntN(down+1)
	}
	if conn, err = net.Dial("tcp", to); err != nil {
		return 0, 0, nil, err
	}
	head := binary.BigEndian.AppendUint64(nil, uint64(up))
	head = binary.BigEndian.AppendUint64(head, uint64(down))
	if _, err = conn.Write(head); err == nil {
		err = send(conn, up)
	}
	if err == nil {
		_, err = io.CopyN(io.Discard, conn, int64(down))
	}
	return header + up, down, conn, err
}

// end closes a connection as its number says.
func (p plan) end(conn *net.TCPConn, n int) error {
	if p.resets > 0 && n%p.resets == 0 {
		if err := conn.SetLinger(0); err != nil {
			return err
		}
	}
	return conn.Close()
}

var zeroes = make([]byte, 256<<10)

func send(to io.Writer, count int) error {
	for count > 0 {
		n, err := to.Write(zeroes[:min(count, len(zeroes))])
		if err != nil {
			return err
		}
		count -= n
	}
	return nil
}

func serve(at string) error {
	l, err := net.Listen("tcp", at)
	if err != nil {
		return err
	}
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			var head [header]byte
			if _, err := io.ReadFull(conn, head[:]); err != nil {
				return
			}
			if _, err := io.CopyN(io.Discard, conn, int64(binary.BigEndian.Uint64(head[:]))); err != nil {
				return
			}
			if send(conn, int(binary.BigEndian.Uint64(head[8:]))) == nil {
				_, _ = io.Copy(io.Discard, conn) // until the client closes
			}
		}()
	}
}
