//go:build unix

package bench

import (
	"encoding/json"
	"syscall"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/pprofile/pprofileotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"github.com/penstock-telemetry/penstock/bench/payload"
	"github.com/penstock-telemetry/penstock/otlp"
)

type jsonRequest interface {
	UnmarshalProto([]byte) error
	UnmarshalJSON([]byte) error
	MarshalJSON() ([]byte, error)
}

var newPdata = [...]func() jsonRequest{
	otlp.Traces:   func() jsonRequest { return ptraceotlp.NewExportRequest() },
	otlp.Metrics:  func() jsonRequest { return pmetricotlp.NewExportRequest() },
	otlp.Logs:     func() jsonRequest { return plogotlp.NewExportRequest() },
	otlp.Profiles: func() jsonRequest { return pprofileotlp.NewExportRequest() },
}

// side is one implementation to compare.
type side struct {
	name string
	run  func() error
}

const jsonItems = 1000

// cpu returns the CPU time of all threads so far, including the garbage
// collector. The load of the machine has little influence on it.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func compareSides(b *testing.B, s otlp.Signal, size int, sides []side) {
	for _, side := range sides {
		b.Run(s.String()+"/"+side.name, func(b *testing.B) {
			b.SetBytes(int64(size))
			b.ReportAllocs()
			start := cpu(b)
			for b.Loop() {
				if err := side.run(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(cpu(b)-start)/float64(b.N)/jsonItems, "cpu-ns/item")
		})
	}
}

// BenchmarkDecodeJSON compares receiving a JSON request: penstock converts it
// to wire bytes and checks them, pdata builds a tree, encoding/json.Valid only
// reads it.
func BenchmarkDecodeJSON(b *testing.B) {
	for _, s := range otlp.Signals() {
		text := otlp.AppendJSON(nil, s, payload.Of(s, jsonItems))
		room := make([]byte, 0, len(text))
		compareSides(b, s, len(text), []side{
			{"penstock", func() error {
				wire, err := otlp.DecodeJSON(room, s, text)
				if err == nil {
					_, err = otlp.Check(s, wire)
				}
				return err
			}},
			{"pdata", func() error { return newPdata[s]().UnmarshalJSON(text) }},
			{"json.Valid", func() error { json.Valid(text); return nil }},
		})
	}
}

// BenchmarkAppendJSON compares writing JSON: penstock reads the wire bytes,
// pdata has its tree already.
func BenchmarkAppendJSON(b *testing.B) {
	for _, s := range otlp.Signals() {
		wire := payload.Of(s, jsonItems)
		room := otlp.AppendJSON(nil, s, wire)
		tree := newPdata[s]()
		if err := tree.UnmarshalProto(wire); err != nil {
			b.Fatal(err)
		}
		compareSides(b, s, len(room), []side{
			{"penstock", func() error { room = otlp.AppendJSON(room[:0], s, wire); return nil }},
			{"pdata", func() error { _, err := tree.MarshalJSON(); return err }},
		})
	}
}
