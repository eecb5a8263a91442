package otlpedit

import (
	"testing"

	"github.com/penstock-telemetry/penstock/otlp"
)

// However many references there are, the dictionary is walked once.
func TestDictionaryIsIndexedOnceAndOnlyIfNeeded(t *testing.T) {
	p := NewPass()
	table := &p.strings
	table.begin(otlp.Profiles, profiles(), Heap{})
	p.KeyOf(otlp.KeyValueFields{Key: []byte("inline"), KeyStrindex: 0})
	if table.indexed {
		t.Error("indexed without a reference")
	}
	for i, want := range []string{"", "service.name", "cart", "host.ip", "10.0.0.7", ""} {
		if got := table.entry(int32(i)); string(got) != want {
			t.Errorf("string %d is %q, want %q", i, got, want)
		}
	}
	if len(table.at) != 5 {
		t.Errorf("%d entries for 5 strings", len(table.at))
	}
	if got := table.entry(-1); got != nil {
		t.Errorf("string -1 is %q", got)
	}
	table.begin(otlp.Traces, profiles(), Heap{})
	if got := table.entry(1); got != nil {
		t.Errorf("traces have string %q", got)
	}
}

// What one editor has added to the dictionary, the next one reads.
func TestAddedEntriesAreRead(t *testing.T) {
	var added int32
	add := func(p *Pass, _ Levels, _ []byte, _ *Writer) (v Verdict, err error) {
		added, err = p.AttributeIndex([]byte("new key"), []byte{0x0a, 1, 'v'})
		return Keep, err
	}
	read := func(p *Pass, _ Levels, _ []byte, _ *Writer) (Verdict, error) {
		a := p.Attribute(added)
		if key := p.String(a.KeyStrindex()); string(key) != "new key" || string(a.Value()) != "\x0a\x01v" {
			t.Errorf("attribute %d is %q with %q", added, key, a.Value())
		}
		if key := p.KeyOf(otlp.KeyValueFields{KeyStrindex: a.KeyStrindex()}); string(key) != "new key" {
			t.Errorf("the key is %q", key)
		}
		return Keep, nil
	}
	plan := func(f EditorFunc) Plan { return Plan{Edits: Resources, New: func() Editor { return f }} }
	if _, _, err := NewPass(plan(add), plan(read)).Run(otlp.Profiles, profiles(), 0, Heap{}); err != nil || added == 0 {
		t.Errorf("attribute %d, %v", added, err)
	}
}

// After a request nothing points into it, and large buffers are let go.
func TestPassForgetsTheRequest(t *testing.T) {
	ended := 0
	plan := Plan{Edits: Resources | Items, Drops: Items, New: func() Editor { return endCounter{&ended} }}
	p := NewPass(plan, plan)
	for _, request := range [][]byte{profiles(), profiles()} {
		if _, _, err := p.Run(otlp.Profiles, request, 0, Heap{}); err != nil {
			t.Fatal(err)
		}
	}
	if ended != 4 {
		t.Errorf("the end was reported %d times to editors, want 4", ended)
	}
	if p.request != nil || p.out != nil || p.mem != nil || p.groups[0].own.known || p.groups[1].own.known || p.strings.request != nil {
		t.Error("the pass holds on to the request")
	}
	for _, level := range p.writers {
		for _, w := range level {
			if cap(w.e.Buf) > maxKeptBytes {
				t.Errorf("a buffer of %d bytes is kept", cap(w.e.Buf))
			}
		}
	}
}

type endCounter struct{ n *int }

func (e endCounter) End() { *e.n++ }
func (e endCounter) Edit(_ *Pass, _ Levels, m []byte, w *Writer) (Verdict, error) {
	w.Raw(m)
	w.Bytes(1000, make([]byte, 2*maxKeptBytes))
	return Replace, nil
}

// profiles is a request whose attributes refer to the dictionary, which stands in
// two parts around the resource.
func profiles() []byte {
	var e otlp.Encoder
	r := otlp.AppendExportProfilesServiceRequest(&e)
	part := func(strings ...string) {
		d := r.SetDictionary()
		for _, s := range strings {
			d.AddStringTable(s)
		}
		d.Close()
	}
	part("", "service.name", "cart")
	rp := r.AddResourceProfiles()
	res := rp.SetResource()
	for _, key := range []int32{1, 3, 99} {
		a := res.AddAttributes()
		a.SetKeyStrindex(key)
		a.Close()
	}
	a := res.AddAttributes()
	a.SetKey("inline")
	a.Close()
	res.Close()
	rp.Close()
	part("host.ip", "10.0.0.7")
	return e.Buf
}
