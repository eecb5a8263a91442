package pipeline

import (
	"bytes"
	"errors"
	"testing"

	"github.com/penstock-telemetry/penstock/otlp"
)

func TestNewBatchChecksTheRequest(t *testing.T) {
	bad := []byte{0x0a, 9}
	if b, err := NewBatch(otlp.Traces, bad, nil); err == nil {
		b.Release()
		t.Error("bad bytes became a batch")
	}
	buf := NewBuffer(2)
	defer buf.Release()
	buf.Bytes = append(buf.Bytes, bad...)
	var ce *otlp.CheckError
	if _, err := NewPooledBatch(otlp.Traces, buf, nil); !errors.As(err, &ce) {
		t.Errorf("got %v, want a CheckError", err)
	}
	if !bytes.Equal(buf.Bytes, bad) {
		t.Error("the buffer was taken over all the same")
	}
}

func TestRetainAndRelease(t *testing.T) {
	b := newTestBatch(t)
	if b.Retain() != b {
		t.Error("Retain returned another batch")
	}
	b.Release()
	if b.Bytes() == nil {
		t.Error("gone while one reference is left")
	}
	b.Release()
	if b.Bytes() != nil {
		t.Error("bytes of a released batch can still be had")
	}
	mustPanic(t, "Release", b.Release)
	mustPanic(t, "Retain", func() { b.Retain() })
}

func TestWithClient(t *testing.T) {
	b := newTestBatch(t)
	before, client := Live(), &Client{Addr: "192.0.2.1:5"}
	d := b.WithClient(client)
	if d.Client() != client || &d.Bytes()[0] != &b.Bytes()[0] || d.Items() != b.Items() || d.Signal() != b.Signal() {
		t.Errorf("with another client: %v %v %d", d.Signal(), d.Client(), d.Items())
	}
	for _, of := range []*Batch{b, d} {
		if _, err := of.Edit(); err == nil {
			t.Error("bytes of two batches can be edited")
		}
	}
	b.Release()
	if len(d.Bytes()) == 0 || Live() != before+1 {
		t.Error("the bytes are gone while a batch has them")
	}
	d.Release()
	if Live() != before-1 {
		t.Errorf("%d batches are left, want %d", Live(), before-1)
	}
}

func mustPanic(t *testing.T, what string, f func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Errorf("%s of a released batch does not panic", what)
		}
	}()
	f()
}

func TestEditNeedsTheBatchAlone(t *testing.T) {
	b := newTestBatch(t)
	defer b.Release()
	if p, err := b.Edit(); err != nil || &p[0] != &b.Bytes()[0] {
		t.Errorf("alone: %v", err)
	}
	b.Retain()
	if _, err := b.Edit(); !errors.Is(err, ErrShared) {
		t.Errorf("retained by another: %v", err)
	}
	b.Release()
	b.MarkShared()
	if _, err := b.Edit(); !errors.Is(err, ErrShared) {
		t.Errorf("marked shared: %v", err)
	}
}

func TestDeriveKeepsSignalAndClient(t *testing.T) {
	client := &Client{Addr: "192.0.2.1:5", Transport: "grpc"}
	b, err := NewBatch(otlp.Traces, request(), client)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Release()
	buf := NewBuffer(0)
	d := b.Derive(buf, 0)
	buf.Release()
	defer d.Release()
	if d.Signal() != otlp.Traces || d.Client() != client || d.Items() != 0 {
		t.Errorf("derived: %v %v %d", d.Signal(), d.Client(), d.Items())
	}
}
