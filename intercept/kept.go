package intercept

import (
	"time"

	"golang.org/x/sys/unix"

	"upall/intercept/registry"
	"upall/internal/event"
	"upall/internal/linux"
)

// keep leaves the call unanswered.
func (i *Interceptor) keep(id uint64, h *hold) {
	if timeout := h.sock.SendTimeout(); h.sock.IsNonblock() {
		i.warnOnce(h.source.instance.Service, "its non-blocking connects are held by blocking them, as nothing better works here (`upall doctor` says why)")
	} else if timeout > 0 {
		time.AfterFunc(time.Until(h.began.Add(timeout)), func() {
			i.post(func() { i.sendTimeout(id) })
		})
	}
	i.discardOf(h)
}

// sendTimeout ends a kept call as the kernel does after SO_SNDTIMEO: the connect
// is said to go on (socket(7)).
func (i *Interceptor) sendTimeout(id uint64) {
	if h := i.holds[id]; h != nil {
		h.source.reply(h.call.ID, unix.EINPROGRESS)
		h.isAnswered = true
		i.step(registry.Gone{ID: id})
	}
}

// replaceKept ends the kept hold of a thread that calls anew: a signal had
// interrupted it.
func (i *Interceptor) replaceKept(tid uint32) {
	if id, ok := i.kept[tid]; ok {
		i.step(registry.Gone{ID: id})
	}
}

// releaseKept performs a call that was kept. upall connects the socket itself:
// a client that is told to continue comes when it is scheduled, so many could
// come at once and find the accept queue full.
func (i *Interceptor) releaseKept(h *hold) {
	i.discardOf(h) // of one that was not decided on yet
	s, actual := h.source, i.actual(h)
	if int(h.call.Nr) != unix.SYS_CONNECT && actual == h.asked {
		s.proceed(h.call.ID) // it sends data too
		return
	}
	if h.sock = s.socket(&h.call, (*linux.Socket).IsTCP); h.sock == nil {
		return // answered there
	}
	i.connectFor(h, actual)
	i.discardOf(h)
}

// answerKept ends every kept call of an instance.
func (i *Interceptor) answerKept(name string) {
	for id, h := range i.holds {
		if h.source != nil && h.source.instance.Name == name && h.way == event.Kept {
			h.source.reply(h.call.ID, unix.ECONNREFUSED)
			h.isAnswered = true
			i.step(registry.Gone{ID: id})
		}
	}
}
