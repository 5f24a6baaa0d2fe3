package engine

import (
	"context"
	"net/netip"
	"testing"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
)

// What is outside of the corpus's projects and which outside.yaml names. Its
// image has a volume of its own.
const (
	outside         = "upall-h-fid-outside"          // a network with a chosen subnet, a volume, a container
	outsideUnchosen = "upall-h-fid-outside-unchosen" // a network whose subnet the engine chooses
	outsideImage    = "upall-test/redis:1"
)

// makeOutside makes it, until the test ends.
func makeOutside(t *testing.T, e *Engine) {
	t.Helper()
	removeOutside(t, e) // of a run that was killed
	t.Cleanup(func() { removeOutside(t, e) })
	pools := []network.IPAMConfig{{Subnet: netip.MustParsePrefix("10.229.9.0/24"), Gateway: netip.MustParseAddr("10.229.9.254")}}
	for name, ipam := range map[string]*network.IPAM{outside: {Config: pools}, outsideUnchosen: nil} {
		if _, err := e.api.NetworkCreate(t.Context(), name, client.NetworkCreateOptions{IPAM: ipam}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := e.api.VolumeCreate(t.Context(), client.VolumeCreateOptions{Name: outside}); err != nil {
		t.Fatal(err)
	}
	_, err := e.api.ContainerCreate(t.Context(), client.ContainerCreateOptions{
		Name: outside, Config: &container.Config{Image: outsideImage}, HostConfig: &container.HostConfig{IpcMode: "shareable"},
	})
	if err != nil {
		t.Fatal(err)
	}
}

func removeOutside(t *testing.T, e *Engine) {
	t.Helper()
	ctx := context.Background()
	_, err := e.api.ContainerRemove(ctx, outside, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	failed := []error{err}
	for _, name := range []string{outside, outsideUnchosen} {
		_, err := e.api.NetworkRemove(ctx, name, client.NetworkRemoveOptions{})
		failed = append(failed, err)
	}
	_, err = e.api.VolumeRemove(ctx, outside, client.VolumeRemoveOptions{})
	for _, err := range append(failed, err) {
		if err != nil && !cerrdefs.IsNotFound(err) {
			t.Errorf("remove what is outside of the projects: %v", err)
		}
	}
}
