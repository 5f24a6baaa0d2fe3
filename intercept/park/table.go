package park

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// tablePrefix and a queue's number make the name of a Parker's tables.
const tablePrefix = "upall-"

// tableOwner is NFT_TABLE_F_OWNER of linux/netfilter/nf_tables.h (Linux 5.12):
// only the socket that made the table may change it, and it goes with the socket.
const tableOwner = 0x2

// firewall is a netlink socket to nf_tables. nftables v0.3.0 cannot set a
// table's flags, so tables are made with plain messages on the same socket,
// which must be the same because it becomes the owner.
type firewall struct {
	nft *nftables.Conn
	raw *netlink.Conn // owned by nft
}

func openFirewall(netNS int) (*firewall, error) {
	fw := &firewall{}
	nft, err := nftables.New(nftables.AsLasting(), nftables.WithNetNSFd(netNS),
		nftables.WithSockOptions(func(conn *netlink.Conn) error {
			fw.raw = conn
			return nil
		}))
	if err != nil {
		return nil, &NotSupportedError{Feature: "a netfilter socket", Reason: err}
	}
	fw.nft = nft
	return fw, nil
}

// close closes this handle of the socket; the tables that it owns go with the last.
func (fw *firewall) close() error { return fw.nft.CloseLasting() }

// socket returns another handle of the socket.
func (fw *firewall) socket() (*socket, error) {
	raw, err := fw.raw.SyscallConn()
	if err != nil {
		return nil, err
	}
	return duplicate(raw)
}

// addTable makes a table, with an owner if wanted and possible.
func (fw *firewall) addTable(table *nftables.Table, withOwner bool) (owned bool, err error) {
	if withOwner {
		err := fw.sendTable(table, tableOwner)
		if err == nil {
			return true, nil
		}
		if !isUnknown(err) {
			return false, tableError(table, err)
		}
	}
	if err := fw.sendTable(table, 0); err != nil {
		return false, tableError(table, err)
	}
	return false, nil
}

func tableError(table *nftables.Table, err error) error {
	if isUnknown(err) {
		return &NotSupportedError{Feature: "nf_tables for " + familyName(table.Family), Reason: err}
	}
	return fmt.Errorf("add table %s %s: %w", familyName(table.Family), table.Name, err)
}

// isUnknown says whether a kernel answered that it does not know something.
func isUnknown(err error) bool {
	return errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL) ||
		errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EAFNOSUPPORT)
}

// sendTable sends a batch with one NEWTABLE and waits for its answer.
func (fw *firewall) sendTable(table *nftables.Table, flags uint32) error {
	add, err := tableMessage(unix.NFT_MSG_NEWTABLE, table,
		netlink.Attribute{Type: unix.NFTA_TABLE_FLAGS, Data: binary.BigEndian.AppendUint32(nil, flags)})
	if err != nil {
		return err
	}
	add.Header.Flags |= netlink.Acknowledge | netlink.Create | netlink.Excl
	if _, err := fw.raw.SendMessages(inBatch(add)); err != nil {
		return err
	}
	_, err = fw.raw.Receive()
	return err
}

// tableMessage is a message about a table. Without a chain, NFT_MSG_DELRULE is about
// all its rules.
func tableMessage(kind uint16, table *nftables.Table, attrs ...netlink.Attribute) (netlink.Message, error) {
	// NFTA_RULE_TABLE has the same number.
	attrs = append([]netlink.Attribute{{Type: unix.NFTA_TABLE_NAME, Data: []byte(table.Name + "\x00")}}, attrs...)
	b, err := netlink.MarshalAttributes(attrs)
	return netlink.Message{
		Header: netlink.Header{Type: netlink.HeaderType(unix.NFNL_SUBSYS_NFTABLES<<8 | kind), Flags: netlink.Request},
		Data:   append([]byte{byte(table.Family), unix.NFNETLINK_V0, 0, 0}, b...),
	}, err
}

// inBatch makes messages one transaction.
func inBatch(messages ...netlink.Message) []netlink.Message {
	return append(append([]netlink.Message{batchMark(unix.NFNL_MSG_BATCH_BEGIN)}, messages...), batchMark(unix.NFNL_MSG_BATCH_END))
}

// batch is inBatch in bytes.
func batch(messages ...netlink.Message) ([]byte, error) {
	var all []byte
	for _, m := range inBatch(messages...) {
		m.Header.Length = uint32(netlinkHeader + len(m.Data))
		b, err := m.MarshalBinary()
		if err != nil {
			return nil, err
		}
		all = append(all, b...)
	}
	return all, nil
}

func batchMark(kind uint16) netlink.Message {
	return netlink.Message{
		Header: netlink.Header{Type: netlink.HeaderType(kind), Flags: netlink.Request},
		Data:   []byte{unix.AF_UNSPEC, unix.NFNETLINK_V0, 0, unix.NFNL_SUBSYS_NFTABLES},
	}
}

// deleteTable deletes a table with all that is in it.
func (fw *firewall) deleteTable(table *nftables.Table) error {
	fw.nft.DelTable(table)
	return fw.nft.Flush()
}

// deleteStale deletes the tables of Parkers that were killed on a kernel
// without table owners. A Parker binds its queue before it makes its tables,
// so a table whose queue nobody reads is stale.
func (fw *firewall) deleteStale(isOwned func(queue uint16) (bool, error)) error {
	for _, family := range families() {
		tables, err := fw.nft.ListTablesOfFamily(family)
		if isUnknown(err) {
			continue // nothing of this family can be left behind
		}
		if err != nil {
			return fmt.Errorf("list the %s tables: %w", familyName(family), err)
		}
		if err := fw.deleteStaleOf(tables, isOwned); err != nil {
			return err
		}
	}
	return nil
}

func (fw *firewall) deleteStaleOf(tables []*nftables.Table, isOwned func(queue uint16) (bool, error)) error {
	for _, table := range tables {
		number, ok := queueOf(table.Name)
		if !ok {
			continue
		}
		owned, err := isOwned(number)
		if err != nil {
			return err
		}
		if owned {
			continue
		}
		// ENOENT: somebody else was quicker. EPERM: it has an owner, that lives.
		err = fw.deleteTable(table)
		if err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EPERM) {
			return fmt.Errorf("delete the stale table %s %s: %w", familyName(table.Family), table.Name, err)
		}
	}
	return nil
}

func tableName(queue uint16) string { return tablePrefix + strconv.Itoa(int(queue)) }

// queueOf returns the number of the queue of a Parker's table.
func queueOf(table string) (uint16, bool) {
	digits, ok := strings.CutPrefix(table, tablePrefix)
	if !ok {
		return 0, false
	}
	number, err := strconv.ParseUint(digits, 10, 16)
	return uint16(number), err == nil
}

// families are the ones that nft_compat works in; inet is not.
func families() []nftables.TableFamily {
	return []nftables.TableFamily{nftables.TableFamilyIPv4, nftables.TableFamilyIPv6}
}

func familyName(family nftables.TableFamily) string {
	if family == nftables.TableFamilyIPv6 {
		return "ip6"
	}
	return "ip"
}
