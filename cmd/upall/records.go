package main

import (
	"context"
	"errors"
	"os"
	"syscall"

	"upall/supervisor/control"
	"upall/supervisor/engine"
	"upall/supervisor/engine/agent"
	"upall/supervisor/process"
	"upall/supervisor/record"
)

// recordBase is where the project's runs are on record: where this user's supervisors
// have put them, or this user's agents of this machine's engine, if that was later.
func recordBase(project string) string {
	base := process.BaseDir(os.Getenv)
	theirs, isOwn := ownDir(record.Dir(agent.Shared().State, project))
	if !isOwn {
		return base
	}
	if ours, isOwn := ownDir(record.Dir(base, project)); isOwn && ours.ModTime().After(theirs.ModTime()) {
		return base
	}
	return agent.Shared().State
}

// ownDir returns what there is at path if it is this user's.
func ownDir(path string) (info os.FileInfo, isOwn bool) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return info, ok && info.IsDir() && int(stat.Uid) == os.Geteuid()
}

// forget removes what is on record of a project that is down, and the container of an
// agent that was killed. What an agent has left, which did not end by `down`, is in a
// directory of root's: another one removes it.
func (t *target) forget(ctx context.Context) (err error) {
	if err := record.Remove(process.BaseDir(os.Getenv), t.name); err != nil || !t.mayHaveContainers() {
		return err
	}
	e, err := engine.Open(ctx, engine.NoStreams())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	if err := agent.RemoveEnded(ctx, e.API(), t.name); err != nil {
		return err
	}
	if _, isLeft := ownDir(record.Dir(agent.Shared().State, t.name)); !isLeft {
		return nil
	}
	image, err := agent.Image(executable)
	if err != nil {
		return err
	}
	client, err := startAgent(ctx, e, image, agentOptions(e, t.name))
	if err != nil {
		return err
	}
	return endProject(ctx, client, t.name, control.Action{Verb: control.End, Forget: true})
}
