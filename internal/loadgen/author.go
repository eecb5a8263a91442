package loadgen

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/penstock-telemetry/penstock/otlp"
)

// schemaURL is the schema of the attribute names.
const schemaURL = "https://opentelemetry.io/schemas/1.37.0"

// kind is what a Source needs for a signal, in addition to the table in package otlp.
type kind struct {
	write func(*author)
	sites sites
}

func kinds() [otlp.Profiles + 1]kind {
	return [...]kind{
		otlp.Traces:   {writeTraces, traceSites()},
		otlp.Metrics:  {writeMetrics, metricSites()},
		otlp.Logs:     {writeLogs, logSites()},
		otlp.Profiles: {writeProfiles, profileSites()},
	}
}

// author writes one request.
type author struct {
	*rand.Rand
	e     otlp.Encoder
	shape Shape
	// stream differs between the templates of one seed.
	stream uint64
	// now is the time of the telemetry, in nanoseconds since the Unix epoch.
	now uint64
	// strings, if not nil, is the string table to which keys and texts of attributes
	// are added and refer.
	strings  *table
	theScene *scene // nil before its first use
	// growing are the increments of the fields that grow, in the order in which they are
	// in the request.
	growing []growth
}

// write returns the request that f writes, and how it grows. Equal arguments give equal
// results.
func write(f func(*author), shape Shape, stream, now uint64) ([]byte, []growth) {
	a := &author{shape: shape, stream: stream, now: now}
	a.restart()
	f(a)
	return a.e.Buf, a.growing
}

// growsBy says by how much the integers that were just written grow, growsByFloat the
// same for a number.
func (a *author) growsBy(deltas ...uint64) {
	for _, d := range deltas {
		a.growing = append(a.growing, growth{delta: d})
	}
}

func (a *author) growsByFloat(delta float64) {
	a.growing = append(a.growing, growth{isFloat: true, delta: math.Float64bits(delta)})
}

// restart discards what was written and resets the random numbers.
func (a *author) restart() {
	a.Rand = rand.New(rand.NewPCG(a.shape.Seed, a.stream))
	a.e.Buf = a.e.Buf[:0]
	a.strings = nil
	a.growing = a.growing[:0]
}

// layout distributes the items among one to three resources with one or two scopes each.
// Every scope has at least one item.
func (a *author) layout() (resources [][]int) {
	for _, n := range a.split(a.shape.BatchItems, 3) {
		resources = append(resources, a.split(n, 2))
	}
	return resources
}

// split splits n into 1 to most parts greater than 0.
func (a *author) split(n, most int) (parts []int) {
	for left := 1 + a.IntN(min(n, most)); left > 1; left-- {
		part := 1 + a.IntN(n-left+1)
		parts = append(parts, part)
		n -= part
	}
	return append(parts, n)
}

// oneIn returns true with probability 1/n.
func (a *author) oneIn(n int) bool { return a.IntN(n) == 0 }

func pick[T any](a *author, from []T) T { return from[a.IntN(len(from))] }

// id returns n random bytes. The last one, which patches do not change, is not 0.
func (a *author) id(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(a.Uint32())
	}
	b[n-1] |= 1
	return b
}

// between returns a random duration in nanoseconds.
func (a *author) between(low, high time.Duration) uint64 {
	return uint64(low) + a.Uint64N(uint64(high-low))
}

// hex returns n random hexadecimal digits.
func (a *author) hex(n int) string {
	const digits = "0123456789abcdef"
	b := make([]byte, n)
	for i := range b {
		b[i] = digits[a.IntN(len(digits))]
	}
	return string(b)
}

func (a *author) uuid() string {
	return a.hex(8) + "-" + a.hex(4) + "-4" + a.hex(3) + "-a" + a.hex(3) + "-" + a.hex(12)
}

// attr is an attribute. The value is a string, bool, int, float64, []string or []attr.
type attr struct {
	key   string
	value any
}

// attributed is a builder of a message with attributes.
type attributed interface{ AddAttributes() otlp.KeyValueBuilder }

func (a *author) attributes(to attributed, attrs []attr) {
	for _, at := range attrs {
		a.keyValue(to.AddAttributes(), at)
	}
}

func (a *author) keyValue(kv otlp.KeyValueBuilder, at attr) {
	if a.strings != nil {
		kv.SetKeyStrindex(a.strings.add(at.key))
	} else {
		kv.SetKey(at.key)
	}
	a.value(kv.SetValue(), at.value)
	kv.Close()
}

func (a *author) value(to otlp.AnyValueBuilder, v any) {
	switch v := v.(type) {
	case string:
		if a.strings != nil {
			to.SetStringValueStrindex(a.strings.add(v))
		} else {
			to.SetStringValue(v)
		}
	case bool:
		to.SetBoolValue(v)
	case int:
		to.SetIntValue(int64(v))
	case float64:
		to.SetDoubleValue(v)
	case []string:
		array := to.SetArrayValue()
		for _, s := range v {
			a.value(array.AddValues(), s)
		}
		array.Close()
	case []attr:
		list := to.SetKvlistValue()
		for _, at := range v {
			a.keyValue(list.AddValues(), at)
		}
		list.Close()
	default:
		panic(fmt.Sprintf("loadgen: an attribute cannot be a %T", v))
	}
	to.Close()
}

// filler is the attribute that brings an item to its size, and fillerBytes its
// approximate size without its text.
const (
	filler      = "app.request.context"
	fillerBytes = len(filler) + 14
)

// fit writes the attributes of an item that began at index start: all of them, or if
// items have a fixed size, those that fit, and text for the rest.
func (a *author) fit(start int, to attributed, attrs []attr) {
	size := a.shape.ItemBytes
	if size == 0 {
		a.attributes(to, attrs)
		return
	}
	for _, at := range attrs {
		before := len(a.e.Buf)
		a.keyValue(to.AddAttributes(), at)
		if len(a.e.Buf)-start > size {
			a.e.Buf = a.e.Buf[:before]
		}
	}
	if room := size - (len(a.e.Buf) - start) - fillerBytes; room > 0 {
		a.keyValue(to.AddAttributes(), attr{filler, a.prose(room)})
	}
}

// roomy reports whether optional parts of about n bytes fit into an item.
func (a *author) roomy(n int) bool { return a.shape.ItemBytes == 0 || a.shape.ItemBytes >= 2*n }

// prose returns a random text of n bytes.
func (a *author) prose(n int) string {
	b := make([]byte, 0, n+16)
	for len(b) < n {
		b = append(append(b, pick(a, proseWords)...), ' ')
	}
	return string(b[:n])
}
