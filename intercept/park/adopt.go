package park

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/google/nftables"

	"upall/internal/linux"
)

// handedOn is what Adopt must know beside the sockets: that of the queue and that
// of the tables.
type handedOn struct {
	Queue    uint16                 `json:"queue"`
	Way      string                 `json:"way"`
	Owned    bool                   `json:"owned"`
	Families []nftables.TableFamily `json:"families"`
}

const handedOnSockets = 2

// Descriptors returns what another process needs to go on when this one is killed,
// for Adopt: data, and descriptors that stay the Parker's and are valid until Close.
// As long as anybody holds duplicates, the queue stays bound, what is parked stays
// parked, and the kernel queues more. Whoever keeps duplicates gives them up before
// Close: what is left of a Parker whose Close was cut short parks nothing.
func (p *Parker) Descriptors() (data []byte, fds []int) {
	h := handedOn{Queue: p.queue.number, Way: p.rules.way, Owned: p.rules.owned}
	for _, table := range p.rules.tables {
		h.Families = append(h.Families, table.Family)
	}
	data, err := json.Marshal(h)
	if err != nil {
		panic(err) // numbers and words can be marshalled
	}
	return data, []int{p.queue.fd, p.rules.socket.fd}
}

// Adopt goes on with a Parker whose process has ended without Close. The options
// are those of its Open; NetNS and those that disable something are not used. It
// owns fds, also when it returns an error, after which another Parker may be opened.
//
// Handle and HandleRefusal get all that waits, each packet once, with new IDs:
// those that the ended process has seen, and those that came while there was none.
func Adopt(options Options, data []byte, fds []*linux.FD) (*Parker, error) {
	p, err := adopt(options, data, fds)
	for _, fd := range fds {
		err = errors.Join(err, fd.Close()) // those that were not taken over
	}
	if err != nil {
		return nil, fmt.Errorf("adopt a parker: %w", err)
	}
	return p, nil
}

func adopt(options Options, data []byte, fds []*linux.FD) (*Parker, error) {
	p, err := newParker(options)
	if err != nil {
		return nil, err
	}
	var h handedOn
	if err := json.Unmarshal(data, &h); err != nil {
		return nil, err
	}
	if len(fds) != handedOnSockets || len(h.Families) == 0 {
		return nil, fmt.Errorf("%d sockets and %d tables, want %d and some", len(fds), len(h.Families), handedOnSockets)
	}
	of, err := newSocket(fds[0])
	if err != nil {
		return nil, err
	}
	p.queue = newQueue(of, h.Queue)
	p.rules = &ruleset{way: h.Way, owned: h.Owned}
	for _, family := range h.Families {
		p.rules.tables = append(p.rules.tables, &nftables.Table{Name: tableName(h.Queue), Family: family})
	}
	left, err := p.queue.requeue()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("go on with netfilter queue %d: %w", h.Queue, err), of.close())
	}
	if p.rules.socket, err = newSocket(fds[1]); err != nil {
		return nil, errors.Join(err, of.close())
	}
	left, old := newest(left)
	if err := p.queue.verdicts(verdict{code: verdictDrop}, old); err != nil {
		return nil, errors.Join(err, of.close(), p.rules.socket.close())
	}
	p.rules.log(p.logger, h.Queue)
	go p.read(left)
	return p, nil
}

// newest returns of the packets that are from one end to another only the newest,
// and the ids of the others: packets come twice that the kernel queues just as they
// are requeued, and a client's port may have been another's whose packet waits still.
func newest(packets []message) (left []message, old []uint32) {
	type kind struct {
		src, dst netip.AddrPort
		isReset  bool
	}
	seen := map[kind]bool{}
	for _, m := range slices.Backward(packets) {
		src, dst, isReset, ok := decodeTCP(m.payload)
		k := kind{src, dst, isReset}
		if ok && seen[k] {
			old = append(old, m.id)
			continue
		}
		seen[k] = true
		left = append(left, m)
	}
	slices.Reverse(left)
	slices.Reverse(old)
	return left, old
}
