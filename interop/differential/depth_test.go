package differential

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
)

// By default penstock accepts values that are nested as deep as pdata accepts them,
// wherever a value can be.
func TestDepthOfValues(t *testing.T) {
	for _, s := range otlp.Signals() {
		places := valuePlaces(testkit.NewMessage(s).ProtoReflect().Descriptor(), nil)
		if len(places) < 3 {
			t.Fatalf("%s: %d places of values", s, len(places))
		}
		for _, p := range places {
			t.Run(s.String()+"/"+p.String(), func(t *testing.T) {
				deepest := map[string]int{}
				for _, shape := range []string{"a", "m", "ma", "am", "mmaa"} {
					for n := 20; n < 70; n++ {
						request := p.with(strings.Repeat(shape, n/len(shape)+1)[:n])
						ours, theirs := byPenstock(s, request), byPdata(s, request)
						if ours.ok() != theirs.ok() {
							t.Errorf("%d of %q: penstock: %v, pdata: %v", n, shape, ours, theirs)
						}
						if ours.ok() {
							deepest[shape] = n
						}
					}
				}
				if deepest["a"] < 48 || deepest["m"] < 32 || deepest["a"] == 69 {
					t.Errorf("no border was found: %v", deepest)
				}
			})
		}
	}
}

// place is the path from a request to a field that holds a value, or an attribute.
type place []protoreflect.FieldDescriptor

func (p place) String() string {
	names := make([]string, len(p))
	for i, fd := range p {
		names[i] = string(fd.Name())
	}
	return strings.Join(names, ".")
}

// valuePlaces returns the places in a message of type d.
func valuePlaces(d protoreflect.MessageDescriptor, path place) (all []place) {
	for i := range d.Fields().Len() {
		fd := d.Fields().Get(i)
		if fd.Kind() != protoreflect.MessageKind {
			continue
		}
		here := append(path[:len(path):len(path)], fd)
		if name := fd.Message().Name(); name == "AnyValue" || name == "KeyValue" {
			all = append(all, here)
			continue
		}
		all = append(all, valuePlaces(fd.Message(), here)...)
	}
	return all
}

// with returns a request with a value of nested arrays (a) and maps (m) at the place.
func (p place) with(nesting string) []byte {
	wrap := func(num protowire.Number, v []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, num, protowire.BytesType), v)
	}
	v := protowire.AppendVarint(protowire.AppendTag(nil, 2, protowire.VarintType), 1) // bool_value
	for i := len(nesting) - 1; i >= 0; i-- {
		switch nesting[i] {
		case 'a':
			v = wrap(5, wrap(1, v))
		case 'm':
			v = wrap(6, wrap(1, wrap(2, v)))
		default:
			panic(fmt.Sprintf("nesting %q", nesting))
		}
	}
	if p[len(p)-1].Message().Name() == "KeyValue" {
		v = wrap(2, v)
	}
	for i := len(p) - 1; i >= 0; i-- {
		v = wrap(p[i].Number(), v)
	}
	return v
}
