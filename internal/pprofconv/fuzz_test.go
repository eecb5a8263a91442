package pprofconv

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/google/pprof/profile"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
)

// checkAny converts every request that Check accepts.
func checkAny(t *testing.T, request []byte) {
	t.Helper()
	if _, err := otlp.Check(otlp.Profiles, request); err != nil {
		return
	}
	list, err := ToPprof(request)
	if errors.Is(err, ErrTooLarge) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range list {
		checkFile(t, n.Profile)
	}
	merged, err := Merge(list)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range merged {
		checkFile(t, n.Profile)
	}
}

// checkFile checks that a profile that is valid in memory is valid as a file.
func checkFile(t *testing.T, p *profile.Profile) {
	t.Helper()
	if err := p.CheckValid(); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := p.WriteUncompressed(&b); err != nil {
		t.Fatal(err)
	}
	if _, err := profile.ParseUncompressed(b.Bytes()); err != nil {
		t.Fatal(err)
	}
}

// Unusual, but valid requests.
func TestRandomRequests(t *testing.T) {
	t.Parallel()
	for seed := range uint64(400) {
		rng := rand.New(rand.NewPCG(seed, 1))
		checkAny(t, testkit.Request(rng, otlp.Profiles, rng.IntN(40)))
	}
}

func FuzzToPprof(f *testing.F) {
	for _, b := range testkit.ProfilerPayloads(f) {
		if len(b) < 20_000 {
			f.Add(b)
		}
	}
	for seed := range uint64(20) {
		f.Add(testkit.Request(rand.New(rand.NewPCG(seed, 2)), otlp.Profiles, 10))
	}
	f.Fuzz(checkAny)
}
