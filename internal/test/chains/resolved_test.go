package chains

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
)

// resolver prints a request with what its references to strings and attributes stand for,
// so that dictionaries with the same entries in another order print the same.
type resolver struct {
	out        strings.Builder
	dictionary protoreflect.Message
}

// resolved prints a request of a signal that has a dictionary.
func resolved(t *testing.T, s otlp.Signal, request []byte) string {
	t.Helper()
	m := testkit.NewMessage(s)
	if err := proto.Unmarshal(request, m); err != nil {
		t.Fatal(err)
	}
	top := m.ProtoReflect()
	field := top.Descriptor().Fields().ByName("dictionary")
	r := &resolver{dictionary: top.Get(field).Message()}
	top = proto.Clone(m).ProtoReflect()
	top.Clear(field)
	r.message(top)
	return r.out.String()
}

// entry returns entry i of a table, false if there is none.
func (r *resolver) entry(table protoreflect.Name, i int64) (protoreflect.Value, bool) {
	list := r.dictionary.Get(r.dictionary.Descriptor().Fields().ByName(table)).List()
	if i < 0 || i >= int64(list.Len()) {
		return protoreflect.Value{}, false
	}
	return list.Get(int(i)), true
}

func (r *resolver) message(m protoreflect.Message) {
	fields := m.Descriptor().Fields()
	var set []protoreflect.FieldDescriptor
	for i := range fields.Len() {
		if m.Has(fields.Get(i)) {
			set = append(set, fields.Get(i))
		}
	}
	slices.SortFunc(set, func(a, b protoreflect.FieldDescriptor) int { return int(a.Number() - b.Number()) })
	r.out.WriteByte('{')
	for _, f := range set {
		fmt.Fprintf(&r.out, "%s:", f.Name())
		if !f.IsList() {
			r.value(f, m.Get(f))
			continue
		}
		for i := range m.Get(f).List().Len() {
			r.value(f, m.Get(f).List().Get(i))
		}
	}
	r.out.WriteByte('}')
}

func (r *resolver) value(f protoreflect.FieldDescriptor, v protoreflect.Value) {
	switch {
	case f.Message() != nil:
		r.message(v.Message())
		return
	case f.Name() == "attribute_indices":
		if e, ok := r.entry("attribute_table", v.Int()); ok {
			r.message(e.Message())
			return
		}
	case strings.HasSuffix(string(f.Name()), "_strindex"):
		if e, ok := r.entry("string_table", v.Int()); ok {
			fmt.Fprintf(&r.out, "%q ", e.String())
			return
		}
	}
	fmt.Fprintf(&r.out, "%v ", v.Interface())
}
