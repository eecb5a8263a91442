package otlp

import (
	"encoding/json"
	"testing"
)

// BenchmarkDecodeJSON compares with encoding/json.Valid, which only validates.
func BenchmarkDecodeJSON(b *testing.B) {
	const spans = 1000
	text := AppendJSON(nil, Traces, spansRequest(spans))
	room := make([]byte, 0, len(text))
	for _, side := range []struct {
		name string
		run  func() bool
	}{
		{"DecodeJSON", func() bool { _, err := DecodeJSON(room, Traces, text); return err == nil }},
		{"json.Valid", func() bool { return json.Valid(text) }},
	} {
		b.Run(side.name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if !side.run() {
					b.Fatal("refused")
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/spans, "ns/span")
		})
	}
}

func BenchmarkAppendJSON(b *testing.B) {
	const spans = 1000
	request := spansRequest(spans)
	room := AppendJSON(nil, Traces, request)
	b.SetBytes(int64(len(room)))
	b.ReportAllocs()
	for b.Loop() {
		room = AppendJSON(room[:0], Traces, request)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/spans, "ns/span")
}
