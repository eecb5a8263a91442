package pipeline_test

import (
	"bytes"
	"testing"

	"github.com/penstock-telemetry/penstock/admission"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// held makes a batch of request that holds a ticket of a budget.
func held(t *testing.T, budget int64, s otlp.Signal, request []byte) (*pipeline.Batch, *admission.Budget) {
	t.Helper()
	b, err := pipeline.NewBatch(s, request, nil)
	if err != nil {
		t.Fatal(err)
	}
	limit := admission.New(admission.Config{Bytes: budget, MaxWait: -1})
	ticket, err := limit.Acquire(t.Context(), "", cap(b.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	b.Hold(ticket)
	return b, limit
}

func TestReservation(t *testing.T) {
	b, budget := held(t, 1000, otlp.Logs, make([]byte, 0, 100))
	used := func(want int64) {
		t.Helper()
		if got := budget.Stats().Used; got != want {
			t.Errorf("%d bytes are charged, want %d", got, want)
		}
	}
	r, err := b.Reserve(t.Context(), 300)
	if err != nil {
		t.Fatal(err)
	}
	used(400)
	if err := r.Grow(t.Context(), 500); err != nil {
		t.Fatal(err)
	}
	used(900)
	err = r.Grow(t.Context(), 500)
	if e := pipeline.Classify(err); e == nil || e.Kind != pipeline.Permanent || e.Code != 8 {
		t.Errorf("more than the whole budget: %v", err)
	}
	other, err := budget.Acquire(t.Context(), "other", 50)
	if err != nil {
		t.Fatal(err)
	}
	err = r.Grow(t.Context(), 60)
	if e := pipeline.Classify(err); e == nil || e.Kind != pipeline.Overloaded || e.RetryAfter == 0 {
		t.Errorf("more than is free: %v", err)
	}
	other.Release()
	used(900)
	r.Release()
	r.Release()
	used(100)
	left, err := b.Reserve(t.Context(), 200) // as a panic leaves it
	if err != nil {
		t.Fatal(err)
	}
	b.Release()
	used(0)
	defer func() {
		if recover() == nil {
			t.Error("a reservation was released after its batch")
		}
	}()
	left.Release()
}

// The text of a request is charged while it is written; what is larger than the
// budget is refused for good, and leaves nothing charged.
func TestJSONIsCharged(t *testing.T) {
	const size = 64 << 10
	body := append([]byte{0x2a, 0x84, 0x80, 0x04, 0x0a, 0x80, 0x80, 0x04}, bytes.Repeat([]byte{1}, size)...) // body, string_value
	wrap := func(m []byte) []byte {
		n := len(m)
		return append([]byte{0x12, byte(n) | 0x80, byte(n>>7) | 0x80, byte(n >> 14)}, m...)
	}
	request := wrap(wrap(body))
	request[0] = 0x12
	request = wrap(request)
	request[0] = 0x0a
	for limit, ok := range map[int64]bool{size * 32: true, size * 6: false} {
		b, budget := held(t, limit, otlp.Logs, request)
		before := budget.Stats().Used
		buf, err := b.JSON(t.Context())
		if ok != (err == nil) {
			t.Fatalf("with %d bytes: %v", limit, err)
		}
		if !ok {
			if e := pipeline.Classify(err); e.Kind != pipeline.Permanent {
				t.Errorf("with %d bytes: %v", limit, err)
			}
		} else {
			if want := otlp.AppendJSON(nil, otlp.Logs, request); !bytes.Equal(buf.Bytes, want) {
				t.Errorf("%d bytes of text, want %d", len(buf.Bytes), len(want))
			}
			if used := budget.Stats().Used; used < before+int64(len(buf.Bytes)) {
				t.Errorf("%d bytes are charged for %d of text", used-before, len(buf.Bytes))
			}
			buf.Release()
		}
		if used := budget.Stats().Used; used != before {
			t.Errorf("%d bytes are charged, want %d", used, before)
		}
		b.Release()
	}
}
