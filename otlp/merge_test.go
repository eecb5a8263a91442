package otlp_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	colprofiles "go.opentelemetry.io/proto/otlp/collector/profiles/v1development"
	profiles "go.opentelemetry.io/proto/otlp/profiles/v1development"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/penstock-telemetry/penstock/otlp"
)

// resolver writes messages with what their indices refer to in the place of these.
type resolver struct {
	dictionary protoreflect.Message // nil: indices are numbers
	around     bool                 // leave out the fields that lead to items
	out        strings.Builder
}

// tableOf returns the dictionary's table that an index field refers to.
func tableOf(field protoreflect.FieldDescriptor) string {
	name := string(field.Name())
	switch {
	case strings.HasSuffix(name, "strindex"):
		return "string_table"
	case strings.HasSuffix(name, "_index"):
		return strings.TrimSuffix(name, "_index") + "_table"
	case strings.HasSuffix(name, "_indices"):
		return strings.TrimSuffix(name, "_indices") + "_table"
	}
	return ""
}

func (r *resolver) message(m protoreflect.Message) {
	r.out.WriteByte('{')
	var fields []protoreflect.FieldDescriptor
	m.Range(func(f protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		fields = append(fields, f)
		return true
	})
	slices.SortFunc(fields, func(a, b protoreflect.FieldDescriptor) int { return int(a.Number() - b.Number()) })
	for _, f := range fields {
		if f.Message() != nil && (f.Message().Name() == "ProfilesDictionary" || r.around && leadsToItems(f)) {
			continue
		}
		fmt.Fprintf(&r.out, "%s:", f.Name())
		if v := m.Get(f); f.IsList() {
			for i := range v.List().Len() {
				r.value(f, v.List().Get(i))
			}
		} else {
			r.value(f, v)
		}
	}
	fmt.Fprintf(&r.out, "?%x}", []byte(m.GetUnknown()))
}

func (r *resolver) value(f protoreflect.FieldDescriptor, v protoreflect.Value) {
	table := tableOf(f)
	if r.dictionary == nil {
		table = ""
	}
	switch {
	case table != "" && v.Int() == 0:
		r.out.WriteString("unset,")
	case table != "":
		r.entry(table, int(v.Int()))
	case f.Message() != nil:
		r.message(v.Message())
	default:
		fmt.Fprintf(&r.out, "%q,", fmt.Sprint(v.Interface()))
	}
}

func (r *resolver) entry(table string, i int) {
	f := r.dictionary.Descriptor().Fields().ByName(protoreflect.Name(table))
	r.value(f, r.dictionary.Get(f).List().Get(i))
}

// resolved returns the resources of requests, and the entries of their dictionaries,
// with everything in its place.
func resolved(t testing.TB, requests ...[]byte) (resources []string, entries map[string]bool) {
	t.Helper()
	entries = map[string]bool{}
	for _, request := range requests {
		var m colprofiles.ExportProfilesServiceRequest
		if err := proto.Unmarshal(request, &m); err != nil {
			t.Fatal(err)
		}
		if m.Dictionary == nil {
			m.Dictionary = &profiles.ProfilesDictionary{}
		}
		r := resolver{dictionary: m.Dictionary.ProtoReflect()}
		for _, rp := range m.ResourceProfiles {
			r.out.Reset()
			r.message(rp.ProtoReflect())
			resources = append(resources, r.out.String())
		}
		fields := r.dictionary.Descriptor().Fields()
		for i := range fields.Len() {
			for n := range r.dictionary.Get(fields.Get(i)).List().Len() {
				r.out.Reset()
				fmt.Fprintf(&r.out, "%s ", fields.Get(i).Name())
				r.entry(string(fields.Get(i).Name()), n)
				entries[r.out.String()] = true
			}
		}
	}
	return resources, entries
}

// checkMerge compares a merged request with its parts, by what the official module
// reads.
func checkMerge(t testing.TB, requests ...[]byte) []byte {
	t.Helper()
	merged, err := otlp.Merge(otlp.Profiles, nil, requests...)
	if errors.Is(err, otlp.ErrNotMerged) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	items := 0
	for _, r := range requests {
		n, err := otlp.Check(otlp.Profiles, r)
		if err != nil {
			t.Fatal(err)
		}
		items += n
	}
	if n, err := otlp.Check(otlp.Profiles, merged); err != nil || n != items {
		t.Fatalf("the merged request has %d items (%v), want %d", n, err, items)
	}
	wantResources, wantEntries := resolved(t, requests...)
	gotResources, gotEntries := resolved(t, merged)
	if !slices.Equal(gotResources, wantResources) {
		t.Fatal("the resources are not those of the requests")
	}
	for e := range wantEntries {
		if !gotEntries[e] {
			t.Fatalf("an entry of a dictionary is lost: %.300s", e)
		}
	}
	for e := range gotEntries {
		if !wantEntries[e] {
			t.Fatalf("an entry is new: %.300s", e)
		}
	}
	checkUnique(t, merged)
	return merged
}

// checkUnique finds entries that a dictionary has twice.
func checkUnique(t testing.TB, request []byte) {
	t.Helper()
	var m colprofiles.ExportProfilesServiceRequest
	if err := proto.Unmarshal(request, &m); err != nil {
		t.Fatal(err)
	}
	d := m.GetDictionary().ProtoReflect()
	fields := d.Descriptor().Fields()
	for i := range fields.Len() {
		f, seen := fields.Get(i), map[string]bool{}
		for n := range d.Get(f).List().Len() {
			text := fmt.Sprint(d.Get(f).List().Get(n).Interface())
			if f.Message() != nil {
				b, err := proto.MarshalOptions{Deterministic: true}.Marshal(d.Get(f).List().Get(n).Message().Interface())
				if err != nil {
					t.Fatal(err)
				}
				text = string(b)
			}
			if seen[text] {
				t.Fatalf("%s has an entry twice: %.100q", f.Name(), text)
			}
			seen[text] = true
		}
	}
}

// payloads are the requests of real profilers.
func payloads(t testing.TB) (all [][]byte) {
	t.Helper()
	names, _ := filepath.Glob("../internal/test/testkit/testdata/profiles/*.binpb")
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := otlp.Check(otlp.Profiles, b); err == nil {
			all = append(all, b)
		}
	}
	return all
}

func TestMergeProfiles(t *testing.T) {
	all := payloads(t)
	if len(all) < 2 {
		t.Fatalf("%d payloads in testdata/profiles", len(all))
	}
	merged := checkMerge(t, all...)
	sum := 0
	for _, b := range all {
		sum += len(b)
	}
	t.Logf("%d requests of %d bytes: %d bytes", len(all), sum, len(merged))
	for i := range all[:3] {
		once := checkMerge(t, all[i], nil)
		twice := checkMerge(t, all[i], all[i])
		if n := len(twice) - len(once); n > len(all[i]) {
			t.Errorf("payload %d added %d bytes a second time", i, n)
		}
		if i == 0 {
			checkMerge(t, all[i], merged, all[1])
		}
	}
}

// Fields that this version does not know, of the request, its resources and the
// dictionary, are kept.
func TestMergeKeepsUnknownFields(t *testing.T) {
	all := payloads(t)
	unknown := []byte{0xfa, 0x01, 3, 'a', 'b', 'c'} // field 31
	a := append(bytes.Clone(all[0]), unknown...)
	merged := checkMerge(t, a, all[1])
	var m colprofiles.ExportProfilesServiceRequest
	if err := proto.Unmarshal(merged, &m); err != nil || !bytes.Equal(m.ProtoReflect().GetUnknown(), unknown) {
		t.Errorf("unknown fields %x, %v", m.ProtoReflect().GetUnknown(), err)
	}
}

// A table that does not begin with the zero value has another meaning of index 0.
func TestMergeOfNonconformingTables(t *testing.T) {
	b, err := proto.Marshal(&colprofiles.ExportProfilesServiceRequest{Dictionary: &profiles.ProfilesDictionary{StringTable: []string{"first"}}})
	if err != nil {
		t.Fatal(err)
	}
	dst := []byte("before")
	if got, err := otlp.Merge(otlp.Profiles, dst, payloads(t)[0], b); !errors.Is(err, otlp.ErrNotMerged) || string(got) != "before" {
		t.Errorf("got %.20q, %v", got, err)
	}
}

func TestMergeOfOthersConcatenates(t *testing.T) {
	for _, s := range []otlp.Signal{otlp.Traces, otlp.Metrics, otlp.Logs} {
		got, err := otlp.Merge(s, []byte("-"), []byte("ab"), nil, []byte("c"))
		if err != nil || string(got) != "-abc" {
			t.Errorf("%s: %q, %v", s, got, err)
		}
	}
}

func FuzzMergeProfiles(f *testing.F) {
	for i, b := range payloads(f) {
		if i < 3 {
			f.Add(b, b[:0])
			f.Add(b[:len(b)/2], b)
		}
	}
	f.Fuzz(func(t *testing.T, a, b []byte) {
		for _, r := range [][]byte{a, b} {
			if _, err := otlp.Check(otlp.Profiles, r); err != nil {
				return
			}
			var m colprofiles.ExportProfilesServiceRequest
			if proto.Unmarshal(r, &m) != nil { // strings that are not UTF-8
				return
			}
		}
		checkMerge(t, a, b)
	})
}

func BenchmarkMergeProfiles(b *testing.B) {
	all := payloads(b)
	size := 0
	for _, r := range all {
		size += len(r)
	}
	b.SetBytes(int64(size))
	for b.Loop() {
		if _, err := otlp.Merge(otlp.Profiles, nil, all...); err != nil {
			b.Fatal(err)
		}
	}
}

// Merge allocates no more than MergeBytes says, also for dictionaries of the smallest
// entries.
func TestMergeBytes(t *testing.T) {
	small := &profiles.ProfilesDictionary{StringTable: []string{""}, StackTable: []*profiles.Stack{{}}}
	for i := range 200000 {
		small.StringTable = append(small.StringTable, fmt.Sprintf("%x", i))
		small.StackTable = append(small.StackTable, &profiles.Stack{LocationIndices: []int32{0}})
	}
	b, err := proto.Marshal(&colprofiles.ExportProfilesServiceRequest{Dictionary: small})
	if err != nil {
		t.Fatal(err)
	}
	for name, requests := range map[string][][]byte{"small entries": {b, b}, "profiles": payloads(t)} {
		limit := otlp.MergeBytes(otlp.Profiles, requests...)
		dst := make([]byte, 0, 64<<20)
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		if _, err := otlp.Merge(otlp.Profiles, dst, requests...); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		got := after.TotalAlloc - before.TotalAlloc
		t.Logf("%s: %d bytes allocated, at most %d", name, got, limit)
		if got > uint64(limit) {
			t.Errorf("%s: %d bytes allocated, MergeBytes says %d", name, got, limit)
		}
	}
}
