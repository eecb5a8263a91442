package otlpedit

import (
	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
)

// table finds the entries of a table of a profiles request's dictionary by index. It
// is indexed when it is first asked: four bytes an entry, which takes two bytes
// at least in the request. For the other signals it is empty.
type table struct {
	num     uint32 // of its entries in the dictionary
	request []byte
	mem     Memory
	err     error // of mem: the table stays empty
	present bool  // the signal has a dictionary
	indexed bool
	at      []uint32 // where each entry's field begins in request
	more    int      // how many entries there are with those that were added
}

// key returns the key of an attribute (common.proto, key_strindex: outside
// profiles a reference means absent).
func (t *table) key(f *otlp.KeyValueFields) []byte {
	if len(f.Key) == 0 && f.KeyStrindex != 0 && t.present {
		return t.entry(f.KeyStrindex)
	}
	return f.Key
}

func (t *table) entry(i int32) []byte {
	if !t.indexed {
		t.index()
	}
	if i < 0 || int(i) >= len(t.at) {
		return nil
	}
	c := wire.Cursor{Buf: t.request[t.at[i]:]}
	c.Next()
	return c.Bytes
}

// index counts the entries, gets memory for them, and notes where they are.
func (t *table) index() {
	t.indexed = true
	if !t.present {
		return
	}
	n := 0
	t.entries(func(int) { n++ })
	if n > cap(t.at) {
		if 4*n > maxKeptBytes {
			if t.err = t.mem.Reserve(4 * n); t.err != nil {
				return
			}
		}
		t.at = make([]uint32, 0, n)
	}
	t.entries(func(start int) { t.at = append(t.at, uint32(start)) })
}

// entries calls do with the place of each entry. The dictionary may come in several
// parts.
func (t *table) entries(do func(start int)) {
	for c := (wire.Cursor{Buf: t.request}); c.Next(); {
		if c.Num != otlpfield.ExportProfilesServiceRequestDictionary || c.Type != wire.TypeBytes {
			continue
		}
		base := c.End - len(c.Bytes)
		for d := (wire.Cursor{Buf: c.Bytes}); d.Next(); {
			if d.Num == t.num && d.Type == wire.TypeBytes {
				do(base + d.Start)
			}
		}
	}
}

// begin makes the table that of another request.
func (t *table) begin(s otlp.Signal, request []byte, mem Memory) {
	*t = table{num: t.num, request: request, mem: mem, present: s.Spec().HasDictionary, at: t.at[:0]}
	if 4*cap(t.at) > maxKeptBytes {
		t.at = nil
	}
}
