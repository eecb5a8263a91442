package aggregate

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
)

func TestMain(m *testing.M) { testkit.Main(m) }

type heap struct{ reserved int }

func (h *heap) Reserve(n int) error { h.reserved += n; return nil }

// pointsOf returns the data points of the first metric of a request in JSON.
func pointsOf(t *testing.T, metric string) (data uint32, points [][]byte) {
	t.Helper()
	text := []byte(`{"resourceMetrics":[{"scopeMetrics":[{"metrics":[` + metric + `]}]}]}`)
	request, err := otlp.DecodeJSON(make([]byte, 0, otlp.MaxWireBytes(len(text))), otlp.Metrics, text)
	if err != nil {
		t.Fatal(err)
	}
	m := wire.Merged(wire.Merged(wire.Merged(request, 1), 2), 2)
	for c := (wire.Cursor{Buf: m}); c.Next(); {
		if AttributesOf(c.Num) == 0 {
			continue
		}
		data = c.Num
		for p := (wire.Cursor{Buf: c.Bytes}); p.Next(); {
			if p.Num == otlpfield.GaugeDataPoints {
				points = append(points, p.Bytes)
			}
		}
	}
	return data, points
}

// jsonOf returns points as JSON.
func jsonOf(t *testing.T, data uint32, points [][]byte) string {
	t.Helper()
	e := wire.Encoder{}
	a := e.Open(1)
	b := e.Open(2)
	c := e.Open(2)
	d := e.Open(data)
	for _, p := range points {
		e.Bytes(otlpfield.GaugeDataPoints, p)
	}
	for _, mark := range []int{d, c, b, a} {
		e.Close(mark)
	}
	if n, err := otlp.Check(otlp.Metrics, e.Buf); err != nil || n != len(points) {
		t.Fatalf("%d points: %d, %v", len(points), n, err)
	}
	text := string(otlp.AppendJSON(nil, otlp.Metrics, e.Buf))
	_, text, _ = strings.Cut(text, `"dataPoints":`)
	return strings.TrimSuffix(text, "}}]}]}]}")
}

const group = `"timeUnixNano":"5","attributes":[{"key":"a","value":{"stringValue":"x"}}]`

func TestNumbers(t *testing.T) {
	doubles := `{"gauge":{"dataPoints":[{` + group + `,"startTimeUnixNano":"3","asDouble":4},{` + group + `,"startTimeUnixNano":"2","asDouble":1},{` + group + `,"startTimeUnixNano":"4","asInt":"2"},{` + group + `,"startTimeUnixNano":"3","asDouble":9.5}]}}`
	ints := `{"sum":{"dataPoints":[{` + group + `,"asInt":"4"},{` + group + `,"asInt":"1"},{` + group + `,"asDouble":2.5},{` + group + `,"asInt":"-9"}]}}`
	for f, want := range map[Func][2]string{
		Sum:    {"16.5", "-2"},
		Mean:   {"4.125", "0"},
		Min:    {"1", "-9"},
		Max:    {"9.5", "4"},
		Count:  {"4", "4"},
		Median: {"3", "1"},
	} {
		for i, metric := range []string{doubles, ints} {
			data, points := pointsOf(t, metric)
			got, err := Points(data, false, f, points, &heap{})
			if err != nil {
				t.Fatal(err)
			}
			field := []string{`"asDouble":`, `"asInt":"`}[i] + want[i]
			if text := jsonOf(t, data, got); len(got) != 1 || !strings.Contains(text, field) || i == 0 && !strings.Contains(text, `"startTimeUnixNano":"2"`) {
				t.Errorf("%s: got %s, want %s", f, text, field)
			}
		}
	}
}

// Points are joined if they have the same attributes, whatever their order and the type of
// a number, and the same time.
func TestGroups(t *testing.T) {
	for _, tt := range []struct {
		points string
		delta  bool
		groups int
	}{
		{`{"timeUnixNano":"5"},{"timeUnixNano":"5"}`, false, 1},
		{`{"timeUnixNano":"5"},{"timeUnixNano":"6"}`, false, 2},
		{`{"startTimeUnixNano":"1"},{"startTimeUnixNano":"2"}`, false, 1},
		{`{"startTimeUnixNano":"1"},{"startTimeUnixNano":"2"}`, true, 2},
		{`{"attributes":[{"key":"a","value":{"intValue":"1"}}]},{"attributes":[{"key":"a","value":{"doubleValue":1}}]}`, false, 1},
		{`{"attributes":[{"key":"a","value":{"intValue":"1"}}]},{"attributes":[{"key":"a","value":{"stringValue":"1"}}]}`, false, 2},
		{`{"attributes":[{"key":"a"},{"key":"b","value":{"boolValue":true}}]},{"attributes":[{"key":"b","value":{"boolValue":true}},{"key":"a"}]}`, false, 1},
		{`{"attributes":[{"key":"a"}]},{}`, false, 2},
		{`{"attributes":[{"key":"a","value":{"bytesValue":"YWI="}}]},{"attributes":[{"key":"a","value":{"stringValue":"YWI="}}]}`, false, 1},
		{`{"attributes":[{"key":"ab"},{"key":"c"}]},{"attributes":[{"key":"a"},{"key":"bc"}]}`, false, 2},
		{`{"attributes":[{"key":"a","value":{"arrayValue":{"values":[{"intValue":"1"}]}}}]},{"attributes":[{"key":"a","value":{"arrayValue":{"values":[{"intValue":"2"}]}}}]}`, false, 2},
	} {
		data, points := pointsOf(t, `{"sum":{"dataPoints":[`+tt.points+`]}}`)
		got, err := Points(data, tt.delta, Sum, points, &heap{})
		if err != nil || len(got) != tt.groups {
			t.Errorf("%s: %d groups, %v, want %d", tt.points, len(got), err, tt.groups)
		}
	}
}

func TestHistograms(t *testing.T) {
	const h = `{` + group + `,"count":"%d","sum":%d,"bucketCounts":["%d","0"],"explicitBounds":[1],"min":%d,"max":%d,"exemplars":[{"asInt":"%d"}]}`
	metric := `{"histogram":{"dataPoints":[` + fmt.Sprintf(h, 1, 2, 1, 2, 3, 7) + `,` + fmt.Sprintf(h, 0, 99, 5, 0, 99, 9) + `,` + fmt.Sprintf(h, 3, 5, 3, 1, 4, 8) + `]}}`
	data, points := pointsOf(t, metric)
	got, err := Points(data, false, Max, points, &heap{})
	if err != nil {
		t.Fatal(err)
	}
	text := jsonOf(t, data, got)
	for _, part := range []string{`"count":"4"`, `"sum":7`, `"min":1`, `"max":4`, `"bucketCounts":["4","0"]`, `{"asInt":"7"}`, `{"asInt":"8"}`} {
		if len(got) != 1 || !strings.Contains(text, part) || strings.Contains(text, "99") {
			t.Errorf("%q is missing in %s", part, text)
		}
	}
	// Other bounds are another group.
	data, points = pointsOf(t, `{"histogram":{"dataPoints":[{"explicitBounds":[1],"bucketCounts":["1","2"]},{"explicitBounds":[2],"bucketCounts":["1","2"]}]}}`)
	if got, err := Points(data, false, Sum, points, &heap{}); err != nil || len(got) != 2 {
		t.Errorf("%d groups, %v", len(got), err)
	}
}

func TestExponentialHistograms(t *testing.T) {
	const h = `{"count":"%d","sum":1,"scale":1,"zeroCount":"1","positive":{"offset":%d,"bucketCounts":[%s]}}`
	for _, tt := range []struct {
		points []string
		want   string // of the buckets; empty: they stay apart
	}{
		{[]string{fmt.Sprintf(h, 3, 2, `"1","2"`), fmt.Sprintf(h, 3, 2, `"1","2"`)}, `{"offset":2,"bucketCounts":["2","4"]}`},
		{[]string{fmt.Sprintf(h, 3, 2, `"1","2"`), fmt.Sprintf(h, 3, 3, `"1","2"`)}, `{"offset":2,"bucketCounts":["1","3","2"]}`},
		{[]string{fmt.Sprintf(h, 3, 2, `"1","2"`), fmt.Sprintf(h, 3, -1, `"1","2"`)}, `{"offset":-1,"bucketCounts":["1","2","0","1","2"]}`},
		{[]string{fmt.Sprintf(h, 3, 2, `"1","2"`), fmt.Sprintf(h, 3, 2147483000, `"1","2"`)}, ""},
		{[]string{fmt.Sprintf(h, 3, 0, `"1"`), fmt.Sprintf(h, 3, maxBuckets, `"1"`)}, ""},
		{[]string{fmt.Sprintf(h, 3, -2147483648, `"1"`), fmt.Sprintf(h, 3, 2147483647, `"1"`)}, ""},
	} {
		data, points := pointsOf(t, `{"exponentialHistogram":{"dataPoints":[`+strings.Join(tt.points, ",")+`]}}`)
		mem := &heap{}
		got, err := Points(data, false, Sum, points, mem)
		if err != nil {
			t.Fatal(err)
		}
		text := jsonOf(t, data, got)
		if tt.want == "" {
			if len(got) != 2 || mem.reserved > 4<<20 {
				t.Errorf("%d points, %d bytes: %s", len(got), mem.reserved, text)
			}
			continue
		}
		if len(got) != 1 || !strings.Contains(text, `"positive":`+tt.want) || !strings.Contains(text, `"zeroCount":"2"`) {
			t.Errorf("got %s, want %s", text, tt.want)
		}
	}
}

type full struct{}

var errFull = errors.New("full")

func (full) Reserve(int) error { return errFull }

func TestMemory(t *testing.T) {
	data, points := pointsOf(t, `{"sum":{"dataPoints":[{"asInt":"1"},{"asInt":"2"}]}}`)
	if _, err := Points(data, false, Sum, points, full{}); !errors.Is(err, errFull) {
		t.Errorf("got %v", err)
	}
}

// What is joined is valid.
func TestRandomPoints(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		request := testkit.Request(rng, otlp.Metrics, 8)
		for r := (wire.Cursor{Buf: request}); r.Next(); {
			for s := (wire.Cursor{Buf: fieldsOf(&r, 1)}); s.Next(); {
				for m := (wire.Cursor{Buf: fieldsOf(&s, 2)}); m.Next(); {
					for c := (wire.Cursor{Buf: fieldsOf(&m, 2)}); c.Next(); {
						if AttributesOf(c.Num) == 0 {
							continue
						}
						var points [][]byte
						for p := (wire.Cursor{Buf: c.Bytes}); p.Next(); {
							if p.Num == 1 {
								points = append(points, p.Bytes)
							}
						}
						for len(points) > 0 && len(points) < 6 { // some of the same
							points = append(points, points[rng.IntN(len(points))])
						}
						f := Funcs[rng.IntN(len(Funcs))]
						once, err := Points(c.Num, rng.IntN(2) == 0, f, points, &heap{})
						if err != nil {
							t.Fatal(err)
						}
						_ = jsonOf(t, c.Num, once)
					}
				}
			}
		}
	}
}

func fieldsOf(c *wire.Cursor, num uint32) []byte {
	if c.Num == num && c.Type == wire.TypeBytes {
		return c.Bytes
	}
	return nil
}
