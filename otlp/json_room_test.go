package otlp

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
)

// exactMemory gives exactly what it is asked for, up to a limit, and fills it so that
// it shows where the encoder wrote.
type exactMemory struct {
	limit int
	last  []byte
	moves int
}

var errFull = errors.New("no room")

func (m *exactMemory) Grow(b []byte, n int) ([]byte, error) {
	if len(b)+n > m.limit {
		return nil, errFull
	}
	m.moves++
	m.last = append(make([]byte, 0, len(b)+n), b...)
	return m.last, nil
}

// owns reports whether b was written to memory of m alone.
func (m *exactMemory) owns(b []byte) bool {
	return cap(b) == cap(m.last) && &b[:1][0] == &m.last[:1][0]
}

// With memory of its own the encoder writes the same text, and never more than it
// asked for.
func TestEncodeJSONAsksForItsMemory(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 5))
	check := func(name string, s Signal, request []byte) {
		t.Helper()
		want := AppendJSON(nil, s, request)
		mem := exactMemory{limit: 1 << 30}
		got, err := EncodeJSON(&mem, s, request)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%s: %v\ngot  %.300q\nwant %.300q", name, err, got, want)
		}
		if len(got) > 0 && !mem.owns(got) {
			t.Errorf("%s: it wrote more than it had room for", name)
		}
		if cap(got) > 2*len(got)+8<<10 {
			t.Errorf("%s: %d bytes of memory for %d of text", name, cap(got), len(got))
		}
		for range 3 {
			mem := exactMemory{limit: r.IntN(len(want) + 1)}
			if _, err := EncodeJSON(&mem, s, request); !errors.Is(err, errFull) {
				t.Errorf("%s: %v with %d bytes for %d", name, err, mem.limit, len(want))
			}
		}
	}
	for seed := range uint64(300) {
		g := &generator{rng: rand.New(rand.NewPCG(seed, 2))}
		for _, s := range Signals() {
			if request := g.request(s); checks(s, request) {
				check("generated", s, request)
			}
		}
	}
	for name, text := range map[string][]byte{
		"plain": bytes.Repeat([]byte("plain "), 1<<12), "control": bytes.Repeat([]byte{1}, 1<<15), "line ends": bytes.Repeat([]byte("\n"), 1<<15),
		"quotes": bytes.Repeat([]byte(`"`), 1<<15), "not UTF-8": bytes.Repeat([]byte{0xff}, 1<<15), "mixed": bytes.Repeat([]byte("ä\x01\xffx\""), 1<<12),
		"runes": bytes.Repeat([]byte("日本"), 1<<12), "short": {1, 1, 1},
	} {
		check(name, Logs, nestedSplits(1, text))
	}
	for range 200 {
		var packed []byte
		for range r.IntN(5000) {
			packed = appendRandomVarint(packed, r)
		}
		sample := wire.AppendBytes(nil, otlpfield.SampleValues, packed)
		profile := wire.AppendBytes(nil, otlpfield.ProfileSamples, sample)
		request := wire.AppendBytes(nil, otlpfield.RequestResources, wire.AppendBytes(nil, otlpfield.ResourceXScopes, wire.AppendBytes(nil, otlpfield.ScopeXItems, profile)))
		check("packed", Profiles, request)
	}
}

func checks(s Signal, request []byte) bool {
	_, err := Check(s, request)
	return err == nil
}

func appendRandomVarint(b []byte, r *rand.Rand) []byte {
	v := r.Uint64() >> r.IntN(64)
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}
