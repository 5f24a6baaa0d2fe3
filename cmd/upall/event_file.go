package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"upall/internal/event"
)

// eventFile is a file of events, or nothing.
type eventFile struct {
	file io.WriteCloser
}

func openEventFile(path string) (*eventFile, error) {
	if path == "" {
		return &eventFile{}, nil
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the file for events: %w", err)
	}
	return &eventFile{file}, nil
}

func (r *eventFile) write(e event.Event) error {
	if r.file == nil {
		return nil
	}
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	if _, err := r.file.Write(append(line, '\n')); err != nil {
		r.file = nil // say it once
		return fmt.Errorf("write events: %w", err)
	}
	return nil
}

func (r *eventFile) close() error {
	if r.file == nil {
		return nil
	}
	return r.file.Close()
}
