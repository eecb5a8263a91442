package promises

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// original is the name of the service in every request. A consumer that changes
// batches writes its own name, of the same length, in its place.
const original = "original"

// consumer is a branch of a fan-out. It is not a testkit.Sink, since it also edits
// batches, retains them, and notes where their bytes were.
type consumer struct {
	name    string // as long as original, if it mutates
	mutates bool
	keeps   bool  // the batch, until the test releases it
	answer  error // what it returns

	calls    int
	arrived  []byte          // a copy
	at       *byte           // where the bytes were
	kept     *pipeline.Batch // if keeps
	edited   bool            // it was granted writing in place
	passedOn []byte          // a copy of what it made
}

func (c *consumer) Name() string { return c.name }

func (c *consumer) Capabilities() pipeline.Capabilities {
	return pipeline.Capabilities{MutatesData: c.mutates}
}

func (c *consumer) Consume(ctx context.Context, b *pipeline.Batch) error {
	c.calls++
	c.arrived, c.at = bytes.Clone(b.Bytes()), &b.Bytes()[0]
	if c.keeps {
		c.kept = b.Retain()
	}
	if !c.mutates {
		return c.answer
	}
	data, err := b.Edit()
	if c.edited = err == nil; !c.edited {
		buf, err := b.NewBuffer(ctx, len(b.Bytes()))
		if err != nil {
			return err
		}
		defer buf.Release()
		buf.Bytes = append(buf.Bytes, b.Bytes()...)
		data = buf.Bytes
	}
	copy(data[bytes.Index(data, []byte(original)):], c.name)
	c.passedOn = bytes.Clone(data)
	return c.answer
}

func unwrapped(t *testing.T) {
	for _, mutates := range []bool{false, true} {
		c := &consumer{name: "alone...", mutates: mutates}
		if pipeline.Fanout(c) != pipeline.Consumer(c) {
			t.Errorf("mutates %v: the consumer is wrapped", mutates)
		}
		for _, s := range otlp.Signals() {
			fanOut(t, s, false, c)
			if c.edited != mutates {
				t.Errorf("%s: the only consumer, which mutates (%v), may edit in place: %v", s, mutates, c.edited)
			}
		}
	}
}

func sharedBytes(t *testing.T) {
	for _, s := range otlp.Signals() {
		first, second, editor, last := &consumer{}, &consumer{}, &consumer{name: "editor..", mutates: true}, &consumer{}
		_, at := fanOut(t, s, false, first, second, editor, last)
		for i, c := range []*consumer{first, second, last} {
			if c.at != at {
				t.Errorf("%s: reader %d was given other bytes than those that came in", s, i)
			}
		}
	}
}

// isolated tries all mixes of three consumers that read and change, whether they
// keep the batch or not.
func isolated(t *testing.T) {
	for _, s := range otlp.Signals() {
		want := string(request(t, s, 2))
		for mix := range 1 << 6 {
			var all []*consumer
			for i := range 3 {
				all = append(all, &consumer{name: fmt.Sprintf("editor %d", i), mutates: mix>>i&1 == 1, keeps: mix>>(3+i)&1 == 1})
			}
			after, _ := fanOut(t, s, false, all...)
			for i, c := range all {
				if string(c.arrived) != want {
					t.Errorf("%s, mix %06b: consumer %d saw what another one wrote", s, mix, i)
				}
				if c.mutates && string(c.passedOn) != strings.Replace(want, original, c.name, 1) {
					t.Errorf("%s, mix %06b: what consumer %d made is not the request with its change", s, mix, i)
				}
				if (c.keeps || !c.mutates) && after != want {
					t.Errorf("%s, mix %06b: consumer %d reads or keeps the batch, which has changed", s, mix, i)
				}
			}
		}
	}
}

func lastHasItAlone(t *testing.T) {
	for _, s := range otlp.Signals() {
		for name, tt := range map[string]struct {
			shared, keeps, reads bool
			lastEdits            bool
		}{
			"all change it":            {lastEdits: true},
			"it was shared before":     {shared: true},
			"the first one retains it": {keeps: true},
			"the second one reads":     {reads: true},
		} {
			first := &consumer{name: "editor 1", mutates: true, keeps: tt.keeps}
			second := &consumer{name: "editor 2", mutates: !tt.reads}
			last := &consumer{name: "editor 3", mutates: true}
			after, at := fanOut(t, s, tt.shared, first, second, last)
			if first.edited || second.edited {
				t.Errorf("%s, %s: one that is not the last may edit in place", s, name)
			}
			if last.edited != tt.lastEdits {
				t.Errorf("%s, %s: the last may edit in place: %v, want %v", s, name, last.edited, tt.lastEdits)
			}
			if tt.lastEdits && (last.at != at || after != string(last.passedOn)) {
				t.Errorf("%s, %s: the last was given a copy", s, name)
			}
		}
	}
}

func joinedErrors(t *testing.T) {
	disk, tenant := errors.New("disk is slow"), errors.New("no such tenant")
	later := func(d time.Duration) error {
		return &pipeline.Error{Kind: pipeline.Overloaded, RetryAfter: d, Err: disk}
	}
	never := pipeline.Permanently(tenant)
	allBut := func(n int64) error { return &pipeline.Error{Kind: pipeline.Partial, Rejected: n, Err: tenant} }
	for _, s := range otlp.Signals() {
		for _, tt := range []struct {
			answers [3]error
			want    pipeline.Error
		}{
			{[3]error{disk, nil, nil}, pipeline.Error{Kind: pipeline.Retryable}},
			{[3]error{nil, disk, disk}, pipeline.Error{Kind: pipeline.Retryable}},
			{[3]error{later(time.Second), disk, later(3 * time.Second)}, pipeline.Error{Kind: pipeline.Overloaded, RetryAfter: 3 * time.Second}},
			{[3]error{later(time.Second), nil, never}, pipeline.Error{Kind: pipeline.Overloaded, RetryAfter: time.Second}},
			{[3]error{nil, nil, never}, pipeline.Error{Kind: pipeline.Permanent}},
			{[3]error{allBut(1), nil, allBut(2)}, pipeline.Error{Kind: pipeline.Partial, Rejected: 2}},
			{[3]error{allBut(1), disk, nil}, pipeline.Error{Kind: pipeline.Retryable}},
			{[3]error{allBut(1), never, nil}, pipeline.Error{Kind: pipeline.Permanent}},
		} {
			var all []*consumer
			for i, answer := range tt.answers {
				all = append(all, &consumer{name: fmt.Sprintf("branch/%d", i), answer: answer})
			}
			err := consume(t, s, all...)
			got := pipeline.Classify(err)
			if got.Kind != tt.want.Kind || got.RetryAfter != tt.want.RetryAfter || got.Rejected != tt.want.Rejected {
				t.Errorf("%s, %v: classified as %+v, want %+v", s, tt.answers, got, tt.want)
			}
			var joined *pipeline.FanoutError
			if !errors.As(err, &joined) {
				t.Fatalf("%s, %v: the error is a %T", s, tt.answers, err)
			}
			for i, c := range all {
				if c.calls != 1 {
					t.Errorf("%s, %v: branch %d was called %d times", s, tt.answers, i, c.calls)
				}
				if c.answer != nil && (!errors.Is(err, c.answer) || !strings.Contains(err.Error(), c.name+": ")) {
					t.Errorf("%s: %q does not have the error of %s: %v", s, err, c.name, c.answer)
				}
			}
		}
	}
	if err := consume(t, otlp.Logs, &consumer{}, &consumer{}); err != nil {
		t.Errorf("no branch failed: %v", err)
	}
}

// fanOut hands a request of signal s to all of them. It returns the bytes of the
// batch as they are afterwards, and where they are.
func fanOut(t *testing.T, s otlp.Signal, shared bool, all ...*consumer) (after string, at *byte) {
	t.Helper()
	b, err := pipeline.NewBatch(s, request(t, s, 2), nil)
	noError(t, err)
	defer b.Release()
	if shared {
		b.MarkShared()
	}
	noError(t, pipeline.Fanout(branches(all)...).Consume(t.Context(), b))
	for _, c := range all {
		if c.keeps {
			defer c.kept.Release()
		}
	}
	return string(b.Bytes()), &b.Bytes()[0]
}

// consume is fanOut of consumers that may fail.
func consume(t *testing.T, s otlp.Signal, all ...*consumer) error {
	t.Helper()
	b, err := pipeline.NewBatch(s, request(t, s, 2), nil)
	noError(t, err)
	defer b.Release()
	return pipeline.Fanout(branches(all)...).Consume(t.Context(), b)
}

func branches(all []*consumer) (of []pipeline.Consumer) {
	for _, c := range all {
		of = append(of, c)
	}
	return of
}
