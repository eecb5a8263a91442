package grpcserver

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"reflect"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
)

// closeCount counts connections that are cut off.
type closeCount struct{ n atomic.Int32 }

func (c *closeCount) cutOff() { c.n.Add(1) }

// h2frame is any frame.
func h2frame(kind http2.FrameType, stream uint32, payload []byte) []byte {
	n := len(payload)
	b := []byte{byte(n >> 16), byte(n >> 8), byte(n), byte(kind), 0}
	return append(binary.BigEndian.AppendUint32(b, stream), payload...)
}

func settings(pairs ...uint32) []byte {
	var p []byte
	for i := 0; i < len(pairs); i += 2 {
		p = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16(p, uint16(pairs[i])), pairs[i+1])
	}
	return h2frame(http2.FrameSettings, 0, p)
}

func windowUpdate(stream, n uint32) []byte {
	return h2frame(http2.FrameWindowUpdate, stream, binary.BigEndian.AppendUint32(nil, n))
}

// data is an answer's worth of DATA frames, n bytes in all.
func data(n int) (b []byte) {
	for n > 0 {
		part := min(n, 16384)
		b = append(b, h2frame(http2.FrameData, 1, make([]byte, part))...)
		n -= part
	}
	return b
}

// What a client says about its windows decides whether its connection lives.
func TestSendWindow(t *testing.T) {
	t.Parallel()
	const initialWindow, maxFrame = uint32(http2.SettingInitialWindowSize), uint32(http2.SettingMaxFrameSize)
	type step struct {
		in, out []byte
		wait    time.Duration
		closed  bool
	}
	for name, steps := range map[string][]step{
		"nothing said":              {{wait: time.Hour}},
		"other settings":            {{in: settings(maxFrame, 0x4000), wait: time.Hour}},
		"initial window 0":          {{in: settings(initialWindow, 0), wait: 9 * time.Second}, {wait: 2 * time.Second, closed: true}},
		"among others":              {{in: settings(maxFrame, 0x4000, initialWindow, 100, 1, 0), wait: 11 * time.Second, closed: true}},
		"0 and opened in time":      {{in: settings(initialWindow, 0), wait: 9 * time.Second}, {in: settings(initialWindow, 65535), wait: time.Hour}},
		"as small as it may be":     {{in: settings(initialWindow, leastWindowBytes), wait: time.Hour}},
		"one byte too small":        {{in: settings(initialWindow, leastWindowBytes-1), wait: 11 * time.Second, closed: true}},
		"the connection's used up":  {{out: data(65535), wait: 9 * time.Second}, {wait: 2 * time.Second, closed: true}},
		"nearly used up":            {{out: data(65535 - leastWindowBytes), wait: time.Hour}},
		"used up and given back":    {{out: data(65535), wait: 9 * time.Second}, {in: windowUpdate(0, leastWindowBytes), wait: time.Hour}},
		"given to a stream instead": {{out: data(65535), wait: 9 * time.Second}, {in: windowUpdate(1, 65535), wait: 2 * time.Second, closed: true}},
		"given before":              {{in: windowUpdate(0, 1<<20)}, {out: data(1 << 20), wait: time.Hour}},
		"headers cost nothing":      {{out: bytes.Repeat(h2frame(http2.FrameHeaders, 1, make([]byte, 16000)), 100), wait: time.Hour}},
		"tight again and again": {
			{out: data(65535), wait: 9 * time.Second}, {in: windowUpdate(0, 60000), wait: time.Minute},
			{out: data(60000), wait: 9 * time.Second}, {wait: 2 * time.Second, closed: true}},
		"two reasons, one gone": {
			{in: settings(initialWindow, 0), out: data(65535), wait: 9 * time.Second},
			{in: windowUpdate(0, 65535), wait: 2 * time.Second, closed: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var c closeCount
				w := newSendWindow(c.cutOff, 10*time.Second)
				defer w.stop()
				for i, s := range steps {
					w.received(s.in)
					w.sent(s.out)
					time.Sleep(s.wait)
					synctest.Wait()
					if got := c.n.Load() > 0; got != s.closed {
						t.Fatalf("step %d: closed %v, want %v", i, got, s.closed)
					}
				}
			})
		})
	}
}

// A window that is stopped closes nothing any more.
func TestSendWindowStop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var c closeCount
		w := newSendWindow(c.cutOff, time.Second)
		w.stop()
		w.received(settings(uint32(http2.SettingInitialWindowSize), 0))
		w.stop()
		time.Sleep(time.Minute)
		synctest.Wait()
		if c.n.Load() != 0 {
			t.Error("it closed a connection after stop")
		}
	})
}

// seenFrame is a frame that frames has parsed.
type seenFrame struct {
	kind   http2.FrameType
	length int
	stream uint32
	units  [][]byte
}

// takeApart runs frames over b in pieces that cut chooses.
func takeApart(b []byte, cut func(left int) int) (all []seenFrame) {
	var f frames
	for len(b) > 0 {
		n := cut(len(b))
		for p := b[:n]; len(p) > 0; {
			var unit []byte
			before := len(p)
			unit, p = f.next(p)
			if len(p) >= before {
				panic("no progress")
			}
			if f.whole {
				all = append(all, seenFrame{kind: f.kind, length: f.length, stream: f.stream})
			}
			if unit != nil {
				last := &all[len(all)-1]
				last.units = append(last.units, bytes.Clone(unit))
			}
		}
		b = b[n:]
	}
	return all
}

// wantFrames reads b at once by RFC 9113, section 4.1.
func wantFrames(b []byte) (all []seenFrame) {
	for len(b) >= 9 {
		h, err := http2.ReadFrameHeader(bytes.NewReader(b))
		if err != nil {
			panic(err)
		}
		s := seenFrame{kind: h.Type, length: int(h.Length), stream: h.StreamID}
		b = b[9:]
		payload := b[:min(len(b), s.length)]
		b = b[len(payload):]
		unit := map[http2.FrameType]int{http2.FrameSettings: 6, http2.FrameWindowUpdate: 4}[s.kind]
		for unit > 0 && len(payload) >= unit {
			s.units = append(s.units, bytes.Clone(payload[:unit]))
			payload = payload[unit:]
		}
		all = append(all, s)
	}
	return all
}

// FuzzFrames: however a stream of bytes is cut into pieces, its frames are those
// that a reader of the whole finds.
func FuzzFrames(f *testing.F) {
	some := append(settings(1, 2, 4, 0), windowUpdate(0, 1<<31-1)...)
	some = append(append(some, data(20_000)...), windowUpdate(3, 1)...)
	f.Add(some, uint64(1))
	f.Add(h2frame(http2.FrameSettings, 0, make([]byte, 7)), uint64(2))
	f.Add(h2frame(http2.FrameWindowUpdate, 0, make([]byte, 3)), uint64(3))
	f.Add(append(h2frame(http2.FrameWindowUpdate, 1<<31|5, make([]byte, 6)), settings(4, 1)...), uint64(4))
	f.Add(append(settings(), settings()...), uint64(5))
	f.Fuzz(func(t *testing.T, b []byte, seed uint64) {
		want := wantFrames(b)
		rng := rand.New(rand.NewPCG(seed, 0))
		for name, cut := range map[string]func(int) int{
			"whole": func(left int) int { return left }, "bytes": func(int) int { return 1 },
			"pieces": func(left int) int { return 1 + rng.IntN(min(left, 40)) },
		} {
			if got := takeApart(b, cut); !reflect.DeepEqual(got, want) {
				t.Fatalf("in %s: %v, want %v", name, got, want)
			}
		}
		// And none of it upsets the watch.
		var c closeCount
		w := newSendWindow(c.cutOff, time.Hour)
		w.received(b)
		w.sent(b)
		w.stop()
	})
}
