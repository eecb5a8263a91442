package otlp

import (
	"encoding/hex"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstock-telemetry/penstock/internal/wire"
)

// oldRequest is a line of testdata/oldprofiles.txt.
type oldRequest struct {
	version, kind string
	bytes         []byte
}

func oldRequests(t testing.TB) (out []oldRequest) {
	t.Helper()
	text, err := os.ReadFile("testdata/oldprofiles.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) != 3 || f[0] == "#" {
			continue
		}
		b, err := hex.DecodeString(f[2])
		if err != nil {
			t.Fatal(line, err)
		}
		out = append(out, oldRequest{f[0], f[1], b})
	}
	if len(out) < 50 {
		t.Fatalf("%d requests only", len(out))
	}
	return out
}

// Requests that the older modules wrote are recognized, with their version.
func TestOlderProfiles(t *testing.T) {
	for _, r := range oldRequests(t) {
		t.Run(r.version+"/"+r.kind, func(t *testing.T) {
			got := OlderProfiles(r.bytes)
			_, err := Check(Profiles, r.bytes)
			if err == nil && r.version != "v1.10" && !strings.HasPrefix(r.kind, "plain") {
				t.Error("Check accepts it, against what the documentation says")
			}
			switch {
			case r.version == "v1.10":
				if got != "" || err != nil {
					t.Errorf("of a request in today's format: %q; Check: %v", got, err)
				}
				return
			case r.kind == "plainboth" && err == nil:
				// Values and timestamps without attributes, each value an index:
				// the bytes are valid in both formats.
				if got != "" {
					t.Errorf("of a request that is valid in the current format: %s", got)
				}
				return
			}
			versions, _, _ := strings.Cut(strings.TrimPrefix(got, "this looks like OTLP profiles of opentelemetry-proto "), " (")
			if !strings.Contains(versions+" ", r.version+" ") {
				t.Errorf("of a request of %s (which Check says %v of): %q", r.version, err, got)
			}
		})
	}
}

func TestOlderProfilesSays(t *testing.T) {
	for _, r := range oldRequests(t) {
		if r.version != "v1.9" || r.kind != "usual" {
			continue
		}
		const want = "this looks like OTLP profiles of opentelemetry-proto v1.8 or v1.9 (Sample.values in field 2, attribute_indices in field 3); " +
			"this server supports the format of v1.10 and newer (otlp-profiles-development-version: 1): upgrade the profiler"
		if got := OlderProfiles(r.bytes); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// Requests of profilers in the current format are not taken for older ones, not even
// with a bit flipped.
func TestOlderProfilesOfToday(t *testing.T) {
	files, err := filepath.Glob(profilerPayloads + "*.binpb")
	if err != nil || len(files) == 0 {
		t.Fatal("no payloads", err)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got := OlderProfiles(b); got != "" {
			t.Errorf("%s: %s", file, got)
		}
		for range 300 {
			i, bit := rng.IntN(len(b)), byte(1)<<rng.IntN(8)
			b[i] ^= bit
			if got := OlderProfiles(b); got != "" {
				t.Errorf("%s with bit %#x of byte %d changed: %s", file, bit, i, got)
			}
			b[i] ^= bit
		}
	}
}

// OlderProfiles returns "" for every request that Check accepts and that has a sample
// with a value or a timestamp.
func TestOlderProfilesOfGenerated(t *testing.T) {
	const values, timestamps = 4, 5
	spoke, passed := 0, 0
	for seed := range uint64(20000) {
		g := &generator{rng: rand.New(rand.NewPCG(seed, 3)), evil: seed%3 == 0}
		b := g.request(Profiles)
		got := OlderProfiles(b)
		if _, err := Check(Profiles, b); err != nil {
			continue
		}
		passed++
		samples, full := 0, 0
		eachSample(msgExportProfilesServiceRequest, b, func(s Sample) {
			samples++
			for c := (wire.Cursor{Buf: s}); c.Next(); {
				if c.Num == values || c.Num == timestamps && len(c.Bytes) > 0 {
					full++
					break
				}
			}
		})
		if got != "" {
			spoke++
			if samples == 0 || full > 0 {
				t.Errorf("seed %d, %d samples, %d with a value or a timestamp: %s", seed, samples, full, got)
			}
		}
	}
	t.Logf("%d requests passed, it spoke of %d", passed, spoke)
	if passed < 3000 || spoke > passed/20 {
		t.Errorf("%d requests passed, it spoke of %d", passed, spoke)
	}
}

func eachSample(m uint8, b []byte, f func(Sample)) {
	if m == msgSample {
		f(b)
		return
	}
	for c := (wire.Cursor{Buf: b}); c.Next(); {
		if e := fieldEntry(m, &c); e.op >= opMessage {
			eachSample(e.arg, c.Bytes, f)
		}
	}
}

func FuzzOlderProfiles(f *testing.F) {
	for _, r := range oldRequests(f) {
		if r.kind == "full" {
			f.Add(r.bytes)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got := OlderProfiles(b)
		if items, err := Check(Profiles, b); err == nil && got != "" {
			eachSample(msgExportProfilesServiceRequest, b, func(s Sample) {
				if s.Values().Len() > 0 || s.TimestampsUnixNano().Len() > 0 {
					t.Fatalf("%d items: %s", items, got)
				}
			})
		}
	})
}
