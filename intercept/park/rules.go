package park

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"
	"golang.org/x/sys/unix"
)

// A Parker's table, for IPv4 and again for IPv6, as nft(8) would show it:
//
//	table ip upall-47100 {
//	    flags owner
//	    chain park {
//	        type filter hook output priority raw; policy accept;
//	        tcp and mark & MASK == REFUSE                    reject with tcp reset
//	        tcp and mark & MASK == HOLD and flags & 0x12 == 2   queue flags bypass to 47100
//	    }
//	    chain refusals {                                          (with HandleRefusal)
//	        type filter hook input priority raw; policy accept;
//	        tcp flags == 0x14 and sequence == 0                 queue flags bypass to 47100
//	    }
//	}
//
// The chain stands before connection tracking and NAT, so a SYN that waits has
// no entry there that could time out, and shows where its client connected to.
// Once accepted it goes on to the chains after this one.
const (
	chainName        = "park"
	refusalChainName = "refusals"
)

// nativeQueue and compatQueue are the two ways of saying "queue" in a rule.
// The first needs CONFIG_NFT_QUEUE, the second CONFIG_NFT_COMPAT and
// CONFIG_NETFILTER_XT_TARGET_NFQUEUE.
func nativeQueue(number uint16) expr.Any {
	return &expr.Queue{Num: number, Total: 1, Flag: expr.QueueFlagBypass}
}

func compatQueue(number uint16) expr.Any {
	const (
		revision  = 3
		bypass    = 1 // NFQ_FLAG_BYPASS
		alignment = 8 // XT_ALIGN
	)
	// struct xt_NFQ_info_v3: u16 queuenum, queues_total, flags.
	info := binary.NativeEndian.AppendUint16(nil, number)
	info = binary.NativeEndian.AppendUint16(info, 1)
	info = binary.NativeEndian.AppendUint16(info, bypass)
	raw := xt.Unknown(append(info, make([]byte, alignment-len(info))...))
	return &expr.Target{Name: "NFQUEUE", Rev: revision, Info: &raw}
}

// way is how the rules queue, and the first error of the ways that do not work.
type way struct {
	name  string
	queue func(number uint16) expr.Any
}

func ways(withNative bool) []way {
	compat := way{name: "xt NFQUEUE", queue: compatQueue}
	if !withNative {
		return []way{compat}
	}
	return []way{{name: "nft queue", queue: nativeQueue}, compat}
}

// addRules fills a table in the first way that this kernel knows.
func (fw *firewall) addRules(table *nftables.Table, m marks, number uint16, options Options) (string, error) {
	var reasons error
	for _, way := range ways(!options.DisableNativeQueue) {
		err := fw.addChains(table, m, way.queue(number), options)
		if err == nil {
			return way.name, nil
		}
		reasons = errors.Join(reasons, fmt.Errorf("%s: %w", way.name, err))
		if !isUnknown(err) {
			return "", fmt.Errorf("add the rules of table %s %s: %w", familyName(table.Family), table.Name, reasons)
		}
	}
	return "", &NotSupportedError{
		Feature: "a queue and a reject expression in nf_tables for " + familyName(table.Family),
		Reason:  reasons,
	}
}

// newChain describes a chain. One that is not hooked sees no packets.
func newChain(table *nftables.Table, name string, hook *nftables.ChainHook, options Options) *nftables.Chain {
	chain := &nftables.Chain{Name: name, Table: table}
	if !options.probe {
		policy := nftables.ChainPolicyAccept
		chain.Type, chain.Policy = nftables.ChainTypeFilter, &policy
		chain.Hooknum, chain.Priority = hook, nftables.ChainPriorityRaw
	}
	return chain
}

// addChains adds the chains and their rules, all or nothing.
func (fw *firewall) addChains(table *nftables.Table, m marks, queue expr.Any, options Options) error {
	chain := fw.nft.AddChain(newChain(table, chainName, nftables.ChainHookOutput, options))
	reject := &expr.Reject{Type: unix.NFT_REJECT_TCP_RST}
	fw.nft.AddRule(&nftables.Rule{
		Table: table, Chain: chain,
		Exprs: append(append(matchMark(m.mask, m.refuse), matchTCP()...), reject),
	})
	match := append(append(matchMark(m.mask, m.hold), matchTCP()...), matchSYN()...)
	fw.nft.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: append(match, queue)})
	if options.HandleRefusal != nil {
		refusals := fw.nft.AddChain(newChain(table, refusalChainName, nftables.ChainHookInput, options))
		fw.nft.AddRule(&nftables.Rule{Table: table, Chain: refusals, Exprs: append(append(matchTCP(), matchRefusal()...), queue)})
	}
	return fw.nft.Flush()
}

const register = unix.NFT_REG_1

// matchMark comes first in each rule: it ends the rule for nearly all packets.
func matchMark(mask, mark uint32) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyMARK, Register: register},
		&expr.Bitwise{
			SourceRegister: register, DestRegister: register, Len: 4,
			Mask: binary.NativeEndian.AppendUint32(nil, mask), Xor: make([]byte, 4),
		},
		&expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: binary.NativeEndian.AppendUint32(nil, mark)},
	}
}

func matchTCP() []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: register},
		&expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: []byte{unix.IPPROTO_TCP}},
	}
}

// matchRefusal matches the answer to a SYN for which there is no listener: RST
// and ACK alone, with a sequence number of zero (RFC 9293, 3.10.7.1).
func matchRefusal() []expr.Any {
	const sequenceOffset, sequenceLength = 4, 4
	return []expr.Any{
		&expr.Payload{DestRegister: register, Base: expr.PayloadBaseTransportHeader, Offset: flagsOffset, Len: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: []byte{rstFlag | ackFlag}},
		&expr.Payload{DestRegister: register, Base: expr.PayloadBaseTransportHeader, Offset: sequenceOffset, Len: sequenceLength},
		&expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: make([]byte, sequenceLength)},
	}
}

// matchSYN matches SYN without ACK (RFC 9293, 3.1): the first packet of a connect.
func matchSYN() []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: register, Base: expr.PayloadBaseTransportHeader, Offset: flagsOffset, Len: 1},
		&expr.Bitwise{SourceRegister: register, DestRegister: register, Len: 1, Mask: []byte{synFlag | ackFlag}, Xor: []byte{0}},
		&expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: []byte{synFlag}},
	}
}
