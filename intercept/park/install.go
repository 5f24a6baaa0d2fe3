package park

import (
	"errors"
	"log/slog"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// ruleset is what a Parker has installed.
type ruleset struct {
	fw     *firewall
	tables []*nftables.Table
	owned  bool   // the kernel removes the tables when fw closes
	way    string // how the rules queue
}

// install cleans up after others and installs the rules that lead to q.
func install(options Options, m marks, q *queue) (*ruleset, error) {
	fw, err := openFirewall(options.NetNS)
	if err != nil {
		return nil, err
	}
	r := &ruleset{fw: fw}
	if err := fw.deleteStale(q.isOwned); err != nil {
		return nil, errors.Join(err, fw.close())
	}
	for _, family := range families() {
		err := r.add(family, options, m, q.number)
		if err == nil {
			continue
		}
		if family == nftables.TableFamilyIPv6 && !hasIPv6() {
			options.Logger.Debug("park only IPv4: this kernel has no IPv6")
			continue
		}
		return nil, errors.Join(err, r.remove())
	}
	return r, nil
}

func (r *ruleset) add(family nftables.TableFamily, options Options, m marks, number uint16) error {
	table := &nftables.Table{Name: tableName(number), Family: family}
	owned, err := r.fw.addTable(table, !options.DisableOwner)
	if err != nil {
		return err
	}
	r.owned = owned
	r.tables = append(r.tables, table)
	r.way, err = r.fw.addRules(table, m, number, options)
	return err
}

// disarm removes the rules but leaves the chain: the kernel drops every packet
// that is queued in a network namespace when a hook in it goes away.
func (r *ruleset) disarm() error {
	for _, table := range r.tables {
		r.fw.nft.FlushTable(table)
	}
	return r.fw.nft.Flush()
}

// remove removes the tables and closes the socket.
func (r *ruleset) remove() error {
	return errors.Join(r.fw.deleteTables(r.tables...), r.fw.close())
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
