package attraction

import (
	"testing"

	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
	"github.com/penstock-telemetry/penstock/otlpedit"
)

// logRecord has attributes with the given keys and values, in turn.
func logRecord(attributes ...string) []byte {
	var e otlp.Encoder
	r := otlp.AppendLogRecord(&e)
	for i := 0; i < len(attributes); i += 2 {
		a := r.AddAttributes()
		a.SetKey(attributes[i])
		v := a.SetValue()
		v.SetStringValue(attributes[i+1])
		v.Close()
		a.Close()
	}
	return e.Buf
}

func editorOf(t testing.TB, actions ...Action) *Editor {
	t.Helper()
	p, err := Compile("actions", actions)
	if err != nil {
		t.Fatal(err)
	}
	return p.NewEditor()
}

// Millions of attributes of one key, or none of interest, take no memory each.
func TestMemoryDoesNotFollowTheAttributes(t *testing.T) {
	t.Parallel()
	remove := Action{Key: "a", Action: "delete"}
	e := editorOf(t, remove, remove, remove)
	var attributes []string
	for range 10_000 {
		attributes = append(attributes, "a", "", "z", "")
	}
	var w otlpedit.Writer
	if changed, err := e.Edit(otlpedit.NewPass(), logRecord(attributes...), otlpfield.LogRecordAttributes, &w); !changed || err != nil {
		t.Fatalf("nothing was deleted: %v", err)
	}
	if n := cap(e.records); n > 8 {
		t.Errorf("%d records are held", n)
	}
}

// Keys with the same length, first, middle and last letter have slots of their own.
func TestKeysOfOneBucket(t *testing.T) {
	t.Parallel()
	table := &keyTable{}
	keys := []string{"", "a", "aa", "axbxa", "aybxa", "axbya", "http.method", "http.target"}
	for _, key := range keys {
		table.add(key)
	}
	for slot, key := range keys {
		if got := table.find([]byte(key)); got != slot {
			t.Errorf("%q: slot %d, expected %d", key, got, slot)
		}
	}
	for _, key := range []string{"b", "azbxa", "http.Method"} {
		if got := table.find([]byte(key)); got != noSlot {
			t.Errorf("%q: slot %d, expected none", key, got)
		}
	}
}

// Patterns are tried once for a key, and what is remembered of hostile keys is bounded.
func TestFatesAreRememberedWithinABound(t *testing.T) {
	t.Parallel()
	e := editorOf(t, Action{Action: "delete", Pattern: "^x"})
	var attributes []string
	for i := range 3 * maxFates {
		attributes = append(attributes, "x"+string(rune(0x4e00+i)), "")
	}
	attributes = append(attributes, "x"+string(make([]byte, 1000)), "", "y", "")
	var w otlpedit.Writer
	changed, err := e.Edit(otlpedit.NewPass(), logRecord(attributes...), otlpfield.LogRecordAttributes, &w)
	if !changed || err != nil {
		t.Fatalf("nothing was deleted: %v", err)
	}
	if len(e.fates) != maxFates {
		t.Errorf("%d keys are remembered, expected %d", len(e.fates), maxFates)
	}
}
