package park

import "fmt"

// The default marks. The high bits are free of the marks that Kubernetes
// (0xc000), Tailscale (0xff0000), Cilium (0x0f00) and wg-quick (0xca6c) use,
// for in the host's namespace a mark may meet somebody's policy routing.
const (
	// DefaultMarkHold is the bit of a socket's mark that parks its SYN.
	DefaultMarkHold uint32 = 0x02000000
	// DefaultMarkMask covers DefaultMarkHold and the bit that refuses.
	DefaultMarkMask uint32 = 0x06000000
)

// marks are the bits that the rules look at.
type marks struct {
	mask   uint32
	hold   uint32
	refuse uint32 // the bits of mask that are not in hold
}

func newMarks(hold, mask uint32) (marks, error) {
	if hold == 0 && mask == 0 {
		hold, mask = DefaultMarkHold, DefaultMarkMask
	}
	m := marks{mask: mask, hold: hold, refuse: mask &^ hold}
	if hold == 0 || hold&^mask != 0 || m.refuse == 0 {
		return marks{}, fmt.Errorf("use mark %#x with mask %#x: the mask must hold the mark and at least one bit more", hold, mask)
	}
	return m, nil
}

func (m marks) park(old uint32) uint32 { return old&^m.mask | m.hold }

// MarkFor returns the socket mark (SO_MARK) that parks a connect, for a socket
// whose mark was old, when the Parker has the default marks.
func MarkFor(old uint32) uint32 {
	return old&^DefaultMarkMask | DefaultMarkHold
}
