package park

import (
	"errors"
	"log/slog"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// ruleset is what a Parker has installed.
type ruleset struct {
	socket *socket // made the tables, and owns them if they have an owner
	tables []*nftables.Table
	owned  bool   // the kernel removes the tables when the last holder of socket closes it
	way    string // how the rules queue
}

// install cleans up after others and installs the rules that lead to q.
func install(options Options, m marks, q *queue) (*ruleset, error) {
	fw, err := openFirewall(options.NetNS)
	if err != nil {
		return nil, err
	}
	r := &ruleset{}
	if r.socket, err = fw.socket(); err != nil {
		return nil, errors.Join(err, fw.close())
	}
	if err := r.fill(fw, options, m, q); err != nil {
		return nil, errors.Join(err, fw.close(), r.remove())
	}
	return r, fw.close()
}

func (r *ruleset) fill(fw *firewall, options Options, m marks, q *queue) error {
	if err := fw.deleteStale(q.isOwned); err != nil {
		return err
	}
	for _, family := range families() {
		err := r.add(fw, family, options, m, q.number)
		if err != nil && family == nftables.TableFamilyIPv6 && !hasIPv6() {
			break // this kernel has no IPv6: park only IPv4
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *ruleset) add(fw *firewall, family nftables.TableFamily, options Options, m marks, number uint16) error {
	table := &nftables.Table{Name: tableName(number), Family: family}
	owned, err := fw.addTable(table, !options.DisableOwner)
	if err != nil {
		return err
	}
	r.owned = owned
	r.tables = append(r.tables, table)
	r.way, err = fw.addRules(table, m, number, options)
	return err
}

// disarm removes the rules but leaves the chain: the kernel drops every packet
// that is queued in a network namespace when a hook in it goes away.
func (r *ruleset) disarm() error { return r.each(unix.NFT_MSG_DELRULE) }

// remove removes the tables, for others may hold the socket, and closes it.
func (r *ruleset) remove() error {
	return errors.Join(r.each(unix.NFT_MSG_DELTABLE), r.socket.close())
}

// each sends one batch with a message for each table.
func (r *ruleset) each(kind uint16) error {
	if len(r.tables) == 0 {
		return nil
	}
	var all []netlink.Message
	for _, table := range r.tables {
		m, err := tableMessage(kind, table)
		if err != nil {
			return err
		}
		all = append(all, m)
	}
	b, err := batch(all...)
	if err != nil {
		return err
	}
	return r.socket.ask(b)
}

// log tells what was installed.
func (r *ruleset) log(logger *slog.Logger, number uint16) {
	logger.Debug("parking", "queue", number, "way", r.way, "owner", r.owned, "tables", len(r.tables))
}

// hasIPv6 says whether sockets of this kernel can speak IPv6 at all.
func hasIPv6() bool {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return !errors.Is(err, unix.EAFNOSUPPORT)
	}
	// Nothing was done with it, so closing cannot lose anything.
	_ = unix.Close(fd)
	return true
}
