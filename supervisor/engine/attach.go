package engine

import (
	"context"
	"io"
	"strings"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"

	"upall/internal/lines"
)

// isReadable tells whether the engine lets the log of a container be read: for
// drivers that send it away it keeps a copy, unless told otherwise.
func (p *present) isReadable(c ref) bool {
	driver := p.Engine.info.Info.LoggingDriver
	var options map[string]string
	if logging := p.project.Services[c.service].Logging; logging != nil {
		options = logging.Options
		if logging.Driver != "" {
			driver = logging.Driver
		}
	}
	switch driver {
	case "json-file", "local", "journald":
		return true
	case "none":
		return false
	default:
		return !strings.EqualFold(options["cache-disabled"], "true")
	}
}

// attach tells the output of a container whose log cannot be read, from its
// start on, which is still to come.
func (o *outputs) attach(c ref) {
	stream, err := o.openAttached(c)
	if err != nil {
		o.warnIf("attach to a container", c, err)
		return
	}
	begun := o.begin(c, func() {
		o.warnIf("read the output of a container", c, o.readStream(c, stream))
		if o.end(c) {
			o.readRuns(c, o.readAttached)
		}
	})
	if !begun {
		stream.close()
	}
}

// readAttached tells the output of a container whose log cannot be read from now
// on. One that does not run has none.
func (o *outputs) readAttached(c ref) error {
	d, err := o.Engine.details(o.ctx, c.id)
	if err != nil || d.PID == 0 {
		return err
	}
	stream, err := o.openAttached(c)
	if err != nil {
		return err
	}
	return o.readStream(c, stream)
}

// attachedStream is what a container writes while somebody reads it.
type attachedStream struct {
	io.Reader
	close func()
}

// openAttached attaches to a container, until close of the outputs.
func (o *outputs) openAttached(c ref) (attachedStream, error) {
	attached, err := o.Engine.api.ContainerAttach(o.ctx, c.id, client.ContainerAttachOptions{Stream: true, Stdout: true, Stderr: true})
	if err != nil {
		return attachedStream{}, err
	}
	stop := context.AfterFunc(o.ctx, attached.Close)
	return attachedStream{attached.Reader, func() {
		if stop() {
			attached.Close()
		}
	}}, nil
}

// readStream tells lines without times, and closes the stream.
func (o *outputs) readStream(c ref, from attachedStream) error {
	defer from.close()
	writer := func(stream string) *lines.Writer {
		return lines.NewWriter(func(text string) { o.Output(Line{c.service, c.instance, stream, text, time.Now()}) })
	}
	out, errOut := writer(streamOut), writer(streamErr)
	var err error
	if o.present.Load().hasTTY(c) { // one stream, as the terminal has it
		_, err = io.Copy(out, from)
	} else {
		_, err = stdcopy.StdCopy(out, errOut, from)
	}
	out.Flush()
	errOut.Flush()
	return err
}
