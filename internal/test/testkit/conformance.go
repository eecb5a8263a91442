package testkit

import (
	"fmt"
	"testing"

	colprofiles "go.opentelemetry.io/proto/otlp/collector/profiles/v1development"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	profiles "go.opentelemetry.io/proto/otlp/profiles/v1development"
	"google.golang.org/protobuf/proto"
)

// maxFaults bounds the faults reported for one request.
const maxFaults = 50

// CheckProfiles fails the test for every rule for profiles that request breaks.
// The rules are the comments in profiles.proto and common.proto, both MUST and
// SHOULD, and those of the profiling SIG's profcheck with all its checks on.
func CheckProfiles(t testing.TB, request []byte) {
	t.Helper()
	for _, fault := range ProfileFaults(request) {
		t.Error(fault)
	}
}

// ProfileFaults returns what CheckProfiles finds, at most 50 faults.
func ProfileFaults(request []byte) []string {
	m := &colprofiles.ExportProfilesServiceRequest{}
	if err := proto.Unmarshal(request, m); err != nil {
		return []string{fmt.Sprintf("the request is not protobuf: %v", err)}
	}
	if m.Dictionary == nil {
		return []string{"the request has no dictionary"}
	}
	c := &conformance{dict: m.Dictionary}
	c.dictionary()
	c.request(m)
	c.orphans()
	return c.faults
}

// conformance checks one request. All indices are followed with ref, so that the
// entries that nothing refers to are known at the end.
type conformance struct {
	dict   *profiles.ProfilesDictionary
	used   [len(tableKinds)][]bool
	faults []string
}

type tableKind int

const (
	mappingTable tableKind = iota
	locationTable
	functionTable
	linkTable
	stringTable
	attributeTable
	stackTable
)

// tableKinds names the tables, by tableKind.
var tableKinds = [...]string{
	"mapping_table", "location_table", "function_table", "link_table", "string_table", "attribute_table", "stack_table",
}

func (c *conformance) fault(where, format string, args ...any) {
	if len(c.faults) < maxFaults {
		c.faults = append(c.faults, where+": "+fmt.Sprintf(format, args...))
	}
}

// ref follows an index and reports whether there is an entry.
func (c *conformance) ref(where string, table tableKind, i int32) bool {
	size := len(c.used[table])
	if i < 0 || int(i) >= size {
		c.fault(where, "index %d is outside %s, which has %d entries", i, tableKinds[table], size)
		return false
	}
	c.used[table][i] = true
	return true
}

// text follows a reference to a string.
func (c *conformance) text(where string, i int32) string {
	if !c.ref(where, stringTable, i) {
		return ""
	}
	return c.dict.StringTable[i]
}

// attributes checks a list of references to attributes: no key twice.
func (c *conformance) attributes(where string, indices []int32) {
	keys := map[string]bool{}
	for _, i := range indices {
		if !c.ref(where+".attribute_indices", attributeTable, i) {
			continue
		}
		strindex := c.dict.AttributeTable[i].KeyStrindex
		if strindex < 0 || int(strindex) >= len(c.dict.StringTable) {
			continue // reported by attribute
		}
		key := c.dict.StringTable[strindex]
		if keys[key] {
			c.fault(where+".attribute_indices", "key %q occurs twice", key)
		}
		keys[key] = true
	}
}

// keyValues checks the attributes of a resource or a scope, and maps.
func (c *conformance) keyValues(where string, list []*common.KeyValue) {
	keys := map[string]bool{}
	for i, kv := range list {
		at := fmt.Sprintf("%s[%d]", where, i)
		key := kv.Key
		if kv.KeyStrindex != 0 {
			if key != "" {
				c.fault(at, "both key and key_strindex are set")
			}
			key = c.text(at+".key_strindex", kv.KeyStrindex)
		}
		if key == "" {
			c.fault(at, "the key is empty")
		}
		if keys[key] {
			c.fault(at, "key %q occurs twice", key)
		}
		keys[key] = true
		c.value(at+".value", kv.Value)
	}
}

func (c *conformance) value(where string, v *common.AnyValue) {
	switch v := v.GetValue().(type) {
	case *common.AnyValue_StringValueStrindex:
		c.text(where, v.StringValueStrindex)
	case *common.AnyValue_ArrayValue:
		for _, e := range v.ArrayValue.Values {
			c.value(where, e)
		}
	case *common.AnyValue_KvlistValue:
		c.keyValues(where, v.KvlistValue.Values)
	}
}

// orphans reports entries that nothing refers to.
func (c *conformance) orphans() {
	for table, used := range c.used {
		for i := 1; i < len(used); i++ {
			if !used[i] {
				c.fault(fmt.Sprintf("%s[%d]", tableKinds[table], i), "nothing refers to it")
			}
		}
	}
}
