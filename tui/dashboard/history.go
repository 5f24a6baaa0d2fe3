package dashboard

import "strings"

// maxHistory is how many samples a sparkline has at most.
const maxHistory = 60

// history are the newest samples of a rate.
type history struct{ samples []float64 }

func (h *history) add(sample float64) {
	h.samples = append(h.samples, sample)
	if len(h.samples) > maxHistory {
		copy(h.samples, h.samples[1:])
		h.samples = h.samples[:maxHistory]
	}
}

// bars are the heights of a sparkline.
var bars = []rune("▁▂▃▄▅▆▇█")

// sparkline draws the newest samples in so many cells. The highest bar is the largest
// of them, and no bar is nothing.
func (h *history) sparkline(cells int) string {
	if h == nil {
		return ""
	}
	shown := h.samples[max(0, len(h.samples)-cells):]
	top := 0.0
	for _, s := range shown {
		top = max(top, s)
	}
	var out strings.Builder
	for _, s := range shown {
		switch {
		case s <= 0:
			out.WriteRune(' ')
		default:
			out.WriteRune(bars[clamp(int(s/top*float64(len(bars))), 0, len(bars)-1)])
		}
	}
	return out.String()
}
