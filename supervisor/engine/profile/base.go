package profile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/moby/profiles/seccomp"
)

// Base is the seccomp profile that a container has without upall.
type Base struct{ body []byte } // JSON

// Builtin is the profile that is built into an engine whose newest API version
// is api, as "1.45", or a stricter one.
func Builtin(api string) (Base, error) {
	version, err := parseAPI(api)
	if err != nil {
		return Base{}, err
	}
	profile := seccomp.DefaultProfile()
	profile.Syscalls = restrict(profile.Syscalls, version)
	return encode(profile)
}

// Unconfined allows everything. It names the machine's architectures all the
// same, for libseccomp kills callers of those that a filter does not name.
func Unconfined() (Base, error) {
	profile := &seccomp.Seccomp{ArchMap: seccomp.DefaultProfile().ArchMap}
	profile.DefaultAction = actAllow
	return encode(profile)
}

// Parse takes a user's own profile. One with fields that are not known here is
// an error, for what they restrict would get lost.
func Parse(body []byte) (Base, error) {
	profile, err := decode(body)
	if err != nil {
		return Base{}, err
	}
	if profile.DefaultAction == "" && len(profile.Syscalls) == 0 {
		return Unconfined() // as the engine has it
	}
	return Base{bytes.Clone(body)}, nil
}

// EngineDefault is the profile that the engine gives a container for which none
// is asked. options are the SecurityOptions of the engine's /info, api its
// newest API version. A profile of the engine's configuration is read from its
// file, so the engine must be local; the engine has read it when it started.
func EngineDefault(options []string, api string) (Base, error) {
	for _, o := range options {
		if !strings.HasPrefix(o, "name=seccomp") {
			continue
		}
		_, profile, _ := strings.Cut(o, ",profile=")
		switch profile {
		case "", "builtin", "default":
			return Builtin(api)
		case "unconfined":
			return Unconfined()
		}
		body, err := os.ReadFile(profile)
		if err != nil {
			return Base{}, fmt.Errorf("read the engine's own seccomp profile: %w", err)
		}
		return Parse(body)
	}
	return Base{}, errors.New("the engine has no seccomp support")
}

// ErrPrivileged says that the engine, one before 27, gives privileged containers
// no profile, not even one that is asked for. The shim can do there what a
// profile cannot.
var ErrPrivileged = errors.New("this engine gives privileged containers no seccomp profile")

// privilegedSince is the API version of the first engines that do.
var privilegedSince = apiVersion{1, 46}

// Choose is the profile of one container: of its security options the one that
// is in force, else none if it is privileged, else the engine's default. api is
// the engine's newest API version. See ErrPrivileged.
func Choose(securityOpt []string, privileged bool, api string, engineDefault Base) (Base, error) {
	version, err := parseAPI(api)
	if err != nil {
		return Base{}, err
	}
	if privileged && version.before(privilegedSince) {
		return Base{}, ErrPrivileged
	}
	switch chosen := chosenProfile(securityOpt); {
	case chosen == "unconfined" || chosen == "" && privileged:
		return Unconfined()
	case chosen == "builtin":
		return Builtin(api)
	case chosen == "":
		return engineDefault, nil
	default:
		return Parse([]byte(chosen))
	}
}

// chosenProfile returns the value of the last option seccomp.
func chosenProfile(securityOpt []string) (chosen string) {
	for _, o := range securityOpt {
		if i := strings.IndexAny(o, "=:"); i > 0 && o[:i] == "seccomp" { // the colon is the old form
			chosen = o[i+1:]
		}
	}
	return chosen
}

func encode(profile *seccomp.Seccomp) (Base, error) {
	body, err := json.Marshal(profile)
	if err != nil {
		return Base{}, fmt.Errorf("encode seccomp profile: %w", err)
	}
	return Base{body}, nil
}

func decode(body []byte) (*seccomp.Seccomp, error) {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	profile := new(seccomp.Seccomp)
	if err := decoder.Decode(profile); err != nil {
		return nil, fmt.Errorf("read seccomp profile: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("read seccomp profile: there is more behind its end")
	}
	if slices.Contains(profile.Syscalls, nil) {
		return nil, errors.New("read seccomp profile: an entry of syscalls is null")
	}
	return profile, nil
}
