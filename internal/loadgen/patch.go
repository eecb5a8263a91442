package loadgen

import (
	"encoding/binary"

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
)

// patchBytes is the size of every patch.
const patchBytes = 8

func inside(in sites) site { return site{in: in} }

var (
	id   = site{patch: patchID}
	when = site{patch: patchTime}
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
	histogram := inside(sites{
		otlpfield.HistogramDataPointTimeUnixNano: when,
		otlpfield.HistogramDataPointExemplars:    exemplar,
	})
	exponential := inside(sites{
		otlpfield.ExponentialHistogramDataPointTimeUnixNano: when,
		otlpfield.ExponentialHistogramDataPointExemplars:    exemplar,
	})
	summary := inside(sites{otlpfield.SummaryDataPointTimeUnixNano: when})
	return items(sites{
		otlpfield.MetricGauge:                inside(sites{otlpfield.GaugeDataPoints: number}),
		otlpfield.MetricSum:                  inside(sites{otlpfield.SumDataPoints: number}),
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
type patches struct{ ids, times []uint32 }

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
		case f.patch == patchTime && c.Type == wire.TypeFixed64:
			p.times = append(p.times, uint32(base+c.End-patchBytes))
		case f.patch == patchTime:
			for i := c.End - len(c.Bytes); i < c.End; i += patchBytes {
				p.times = append(p.times, uint32(base+i))
			}
		}
	}
}

// saltMask excludes the last byte of an id. It is never 0, so that no id becomes all
// zeros, which is invalid.
const saltMask = 1<<56 - 1

// salt returns the number that is mixed into the ids of request n. Multiplication by an
// odd number is a bijection modulo 2^56: it is different for all requests of a run.
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
