package otlp

import (
	"bytes"
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
)

// nestedSplits is a logs request whose body is a list in a list, levels deep, each
// level in two parts: one that is empty, and one that is all the rest.
func nestedSplits(levels int, leaf []byte) []byte {
	value := wire.AppendBytes(nil, otlpfield.AnyValueStringValue, leaf)
	for range levels {
		list := wire.AppendBytes(nil, otlpfield.ArrayValueValues, value)
		value = wire.AppendBytes(nil, otlpfield.AnyValueArrayValue, "")
		value = wire.AppendBytes(value, otlpfield.AnyValueArrayValue, list)
	}
	record := wire.AppendBytes(nil, otlpfield.LogRecordBody, value)
	scope := wire.AppendBytes(nil, otlpfield.ScopeXItems, record)
	resource := wire.AppendBytes(nil, otlpfield.ResourceXScopes, scope)
	return wire.AppendBytes(nil, otlpfield.RequestResources, resource)
}

// To read messages that are split into parts costs a copy of each. In a request they
// may be as large together as the request, not many times as large.
func TestSplitsInSplitsAreRefused(t *testing.T) {
	leaf := bytes.Repeat([]byte("x"), 256<<10)
	for levels, ok := range map[int]bool{0: true, 1: true, 2: false, 48: false} {
		request := nestedSplits(levels, leaf)
		f, err := Inspect(Logs, request)
		var refused *CheckError
		switch {
		case ok && (err != nil || f.Items != 1 || f.SplitBytes < levels*len(leaf) || f.SplitBytes > levels*len(request)):
			t.Errorf("%d levels: %+v, %v", levels, f, err)
		case !ok && (!errors.As(err, &refused) || !strings.Contains(err.Error(), "split into several parts are nested")):
			t.Errorf("%d levels: %v", levels, err)
		}
	}
	if _, err := Inspect(Logs, nestedSplits(48, leaf[:500])); err != nil {
		t.Errorf("a small request: %v", err)
	}
}

// A dictionary in two parts is merged into one.
func TestSplitBytesOfADictionary(t *testing.T) {
	part := wire.AppendBytes(nil, otlpfield.ExportProfilesServiceRequestDictionary, bytes.Repeat([]byte{otlpfield.ProfilesDictionaryStringTable<<3 | 2, 1, 'a'}, 1000))
	for parts, want := range map[int]int{1: 0, 2: 2 * len(part), 5: 5 * len(part)} {
		f, err := Inspect(Profiles, bytes.Repeat(part, parts))
		if err != nil || f.SplitBytes != want {
			t.Errorf("%d parts: %+v, %v, want %d bytes", parts, f, err, want)
		}
	}
}

// What merging allocates is what SplitBytes promises.
func TestMergingAllocatesWhatSplitBytesSays(t *testing.T) {
	leaf := bytes.Repeat([]byte("x"), 256<<10)
	for name, request := range map[string][]byte{
		"two parts": nestedSplits(1, leaf),
		"list split with its value": func() []byte {
			list := wire.AppendBytes(nil, otlpfield.ArrayValueValues, wire.AppendBytes(nil, otlpfield.AnyValueStringValue, leaf))
			value := wire.AppendBytes(nil, otlpfield.AnyValueArrayValue, list)
			record := wire.AppendBytes(nil, otlpfield.LogRecordBody, wire.AppendBytes(nil, otlpfield.AnyValueArrayValue, ""))
			record = wire.AppendBytes(record, otlpfield.LogRecordBody, value)
			return wire.AppendBytes(nil, otlpfield.RequestResources, wire.AppendBytes(nil, otlpfield.ResourceXScopes, wire.AppendBytes(nil, otlpfield.ScopeXItems, record)))
		}(),
	} {
		f, err := Inspect(Logs, request)
		if err != nil || f.SplitBytes == 0 {
			t.Fatalf("%s: %+v, %v", name, f, err)
		}
		dst := make([]byte, 0, 4*len(request))
		if got, most := allocated(func() { AppendJSON(dst, Logs, request) }), uint64(MergeFactor*f.SplitBytes+4<<10); got > most {
			t.Errorf("%s: %d bytes allocated for %d that are split", name, got, f.SplitBytes)
		}
	}
}

// allocated returns how many bytes do allocates, also those that are garbage after
// it.
func allocated(do func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
