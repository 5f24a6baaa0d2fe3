package linux

import "golang.org/x/sys/unix"

// TerminalWidth is how many columns a terminal has; 0 for what is none, or does
// not say. ioctl_tty(2).
func TerminalWidth(fd int) int {
	size, err := unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ)
	if err != nil {
		return 0
	}
	return int(size.Col)
}
