package loadgen

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
)

// sites holds, by field number, the fields of a message that are patched, and those that
// contain such fields.
type sites map[uint32]site

type site struct {
	patch patchKind
	in    sites // of a message
}

type patchKind uint8

const (
	patchInside patchKind = iota // only fields inside the message
	patchID                      // the last 8 bytes
	patchTime                    // fixed64, or a packed list of them
	patchGrowth                  // fixed64 or double, or a packed list of them: it is cumulative
)

// patchBytes is the size of every patch.
const patchBytes = 8

func inside(in sites) site { return site{in: in} }

var (
	id   = site{patch: patchID}
	when = site{patch: patchTime}
	more = site{patch: patchGrowth}
)

// items returns the sites of a request from those of its items. The path to the items is
// the same for all signals.
func items(item sites) sites {
	scope := inside(sites{otlpfield.ScopeXItems: inside(item)})
	resource := inside(sites{otlpfield.ResourceXScopes: scope})
	return sites{otlpfield.RequestResources: resource}
}

func traceSites() sites {
	event := sites{otlpfield.SpanEventTimeUnixNano: when}
	link := sites{otlpfield.SpanLinkTraceID: id, otlpfield.SpanLinkSpanID: id}
	return items(sites{
		otlpfield.SpanTraceID:           id,
		otlpfield.SpanSpanID:            id,
		otlpfield.SpanParentSpanID:      id,
		otlpfield.SpanStartTimeUnixNano: when,
		otlpfield.SpanEndTimeUnixNano:   when,
		otlpfield.SpanEvents:            inside(event),
		otlpfield.SpanLinks:             inside(link),
	})
}

func metricSites() sites {
	exemplar := inside(sites{
		otlpfield.ExemplarTimeUnixNano: when,
		otlpfield.ExemplarTraceID:      id,
		otlpfield.ExemplarSpanID:       id,
	})
	number := inside(sites{
		otlpfield.NumberDataPointTimeUnixNano: when,
		otlpfield.NumberDataPointExemplars:    exemplar,
	})
	counter := inside(sites{
		otlpfield.NumberDataPointTimeUnixNano: when,
		otlpfield.NumberDataPointAsDouble:     more,
		otlpfield.NumberDataPointExemplars:    exemplar,
	})
	histogram := inside(sites{
		otlpfield.HistogramDataPointTimeUnixNano: when,
		otlpfield.HistogramDataPointCount:        more,
		otlpfield.HistogramDataPointSum:          more,
		otlpfield.HistogramDataPointBucketCounts: more,
		otlpfield.HistogramDataPointExemplars:    exemplar,
	})
	exponential := inside(sites{
		otlpfield.ExponentialHistogramDataPointStartTimeUnixNano: when,
		otlpfield.ExponentialHistogramDataPointTimeUnixNano:      when,
		otlpfield.ExponentialHistogramDataPointExemplars:         exemplar,
	})
	summary := inside(sites{
		otlpfield.SummaryDataPointTimeUnixNano: when,
		otlpfield.SummaryDataPointCount:        more,
		otlpfield.SummaryDataPointSum:          more,
	})
	return items(sites{
		otlpfield.MetricGauge:                inside(sites{otlpfield.GaugeDataPoints: number}),
		otlpfield.MetricSum:                  inside(sites{otlpfield.SumDataPoints: counter}),
		otlpfield.MetricHistogram:            inside(sites{otlpfield.HistogramDataPoints: histogram}),
		otlpfield.MetricExponentialHistogram: inside(sites{otlpfield.ExponentialHistogramDataPoints: exponential}),
		otlpfield.MetricSummary:              inside(sites{otlpfield.SummaryDataPoints: summary}),
	})
}

func logSites() sites {
	return items(sites{
		otlpfield.LogRecordTimeUnixNano:         when,
		otlpfield.LogRecordObservedTimeUnixNano: when,
		otlpfield.LogRecordTraceID:              id,
		otlpfield.LogRecordSpanID:               id,
	})
}

func profileSites() sites {
	s := items(sites{
		otlpfield.ProfileTimeUnixNano: when,
		otlpfield.ProfileProfileID:    id,
		otlpfield.ProfileSamples:      inside(sites{otlpfield.SampleTimestampsUnixNano: when}),
	})
	link := inside(sites{otlpfield.LinkTraceID: id, otlpfield.LinkSpanID: id})
	s[otlpfield.ExportProfilesServiceRequestDictionary] = inside(sites{otlpfield.ProfilesDictionaryLinkTable: link})
	return s
}

// patches are the offsets in a request that are patched.
type patches struct {
	ids, times []uint32
	growing    []growth
}

// growth is a field that grows by the same each time that its request is sent.
type growth struct {
	at          uint32
	isFloat     bool
	base, delta uint64 // of a float, the bits
}

// find adds the offsets in message, which begins at offset base of the request.
func (p *patches) find(s sites, message []byte, base int) {
	for c := (wire.Cursor{Buf: message}); c.Next(); {
		f, ok := s[c.Num]
		switch {
		case !ok:
		case f.patch == patchInside:
			p.find(f.in, c.Bytes, base+c.End-len(c.Bytes))
		case f.patch == patchID && len(c.Bytes) >= patchBytes:
			p.ids = append(p.ids, uint32(base+c.End-patchBytes))
		case f.patch == patchTime:
			p.times = append(p.times, offsets(&c, base)...)
		case f.patch == patchGrowth:
			for _, at := range offsets(&c, base) {
				p.growing = append(p.growing, growth{at: at})
			}
		}
	}
}

// offsets returns those of the elements of a fixed64 field, packed or not.
func offsets(c *wire.Cursor, base int) (all []uint32) {
	if c.Type == wire.TypeFixed64 {
		return []uint32{uint32(base + c.End - patchBytes)}
	}
	for i := c.End - len(c.Bytes); i < c.End; i += patchBytes {
		all = append(all, uint32(base+i))
	}
	return all
}

// begin sets the increments of the fields that grow, from what they are in request.
func (p *patches) begin(request []byte, deltas []growth) error {
	if len(deltas) != len(p.growing) {
		return fmt.Errorf("%d fields grow, but %d increments are known", len(p.growing), len(deltas))
	}
	for i := range p.growing {
		g := &p.growing[i]
		g.isFloat, g.delta = deltas[i].isFloat, deltas[i].delta
		g.base = binary.LittleEndian.Uint64(request[g.at:])
	}
	return nil
}

// grow sets the fields that grow to their values after a number of steps.
func (p *patches) grow(request []byte, steps uint64) {
	for i := range p.growing {
		g := &p.growing[i]
		value := g.base + steps*g.delta
		if g.isFloat {
			value = math.Float64bits(math.Float64frombits(g.base) + float64(steps)*math.Float64frombits(g.delta))
		}
		binary.LittleEndian.PutUint64(request[g.at:g.at+patchBytes], value)
	}
}

// saltMask excludes the last byte of an id. It is never 0, so that no id becomes all
// zeros, which is invalid.
const saltMask = 1<<56 - 1

// salt returns the number that is mixed into the ids of the requests of round n. Multiplication by an
// odd number is a bijection modulo 2^56: it is different for all rounds of a run.
func salt(n uint64) uint64 { return n * 0x9E3779B97F4A7C15 & saltMask }

// mix flips the bits of change in all ids. A second call reverts the first.
func (p *patches) mix(request []byte, change uint64) {
	if change == 0 {
		return
	}
	for _, at := range p.ids {
		b := request[at : at+patchBytes]
		binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)^change)
	}
}

// move adds nanoseconds to all times, modulo 2^64, so that it can also subtract.
func (p *patches) move(request []byte, nanos uint64) {
	if nanos == 0 {
		return
	}
	for _, at := range p.times {
		b := request[at : at+patchBytes]
		binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)+nanos)
	}
}
