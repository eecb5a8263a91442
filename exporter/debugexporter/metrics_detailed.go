package debugexporter

import "github.com/penstock-telemetry/penstock/otlp"

func detailedMetric(p *printer, item []byte) {
	m := otlp.Metric(item)
	f := m.Decode()
	p.s("Descriptor:").nl()
	p.arrow("").s("Name: ").str(f.Name).nl()
	p.arrow("").s("Description: ").str(f.Description).nl()
	p.arrow("").s("Unit: ").str(f.Unit).nl()
	dataType := func(name string) {
		p.arrow("").s("DataType: ").s(name).nl()
		p.attributes("     ", "-> Metadata", f.Metadata)
	}
	if gauge, ok := m.Gauge(); ok {
		dataType("Gauge")
		p.detailedNumbers(gauge.DataPoints())
	} else if sum, ok := m.Sum(); ok {
		dataType("Sum")
		p.arrow("").s("IsMonotonic: ").bool(sum.IsMonotonic()).nl()
		p.temporality(sum.AggregationTemporality())
		p.detailedNumbers(sum.DataPoints())
	} else if h, ok := m.Histogram(); ok {
		dataType("Histogram")
		p.temporality(h.AggregationTemporality())
		p.detailedHistogram(h.DataPoints())
	} else if h, ok := m.ExponentialHistogram(); ok {
		dataType("ExponentialHistogram")
		p.temporality(h.AggregationTemporality())
		p.detailedExponential(h.DataPoints())
	} else if summary, ok := m.Summary(); ok {
		dataType("Summary")
		p.detailedSummary(summary.DataPoints())
	} else {
		dataType("Empty")
	}
}

func (p *printer) temporality(v otlp.AggregationTemporality) {
	p.arrow("").s("AggregationTemporality: ").s(enumName(v.String(), "AGGREGATION_TEMPORALITY_")).nl()
}

// pointHead prints the beginning of a data point.
func (p *printer) pointHead(noun string, i int, l otlp.List[otlp.KeyValue], start, time uint64) {
	p.s(noun).s(" #").int(int64(i)).nl()
	p.attributes("", "Data point attributes", l)
	p.s("StartTimestamp: ").time(start).nl()
	p.s("Timestamp: ").time(time).nl()
}

func (p *printer) detailedNumbers(l otlp.List[otlp.NumberDataPoint]) {
	i := 0
	for point := range l.All() {
		f := point.Decode()
		p.pointHead("NumberDataPoints", i, f.Attributes, f.StartTimeUnixNano, f.TimeUnixNano)
		i++
		if v, ok := point.AsInt(); ok {
			p.s("Value: ").int(v).nl()
		} else if v, ok := point.AsDouble(); ok {
			p.s("Value: ").fixed(v).nl()
		}
		p.exemplars(f.Exemplars)
		if p.full {
			return
		}
	}
}

// detailedTotals prints the totals of both kinds of histograms.
func (p *printer) detailedTotals(count uint64, sum, low, high optional) {
	p.s("Count: ").uint(count).nl()
	for _, v := range []struct {
		name string
		optional
	}{{"Sum: ", sum}, {"Min: ", low}, {"Max: ", high}} {
		if v.ok {
			p.s(v.name).fixed(v.value).nl()
		}
	}
}

func (p *printer) detailedHistogram(l otlp.List[otlp.HistogramDataPoint]) {
	i := 0
	for point := range l.All() {
		f := point.Decode()
		p.pointHead("HistogramDataPoints", i, f.Attributes, f.StartTimeUnixNano, f.TimeUnixNano)
		i++
		p.detailedTotals(f.Count, optional{f.Sum, f.HasSum}, optional{f.Min, f.HasMin}, optional{f.Max, f.HasMax})
		p.explicitBuckets(f)
		p.exemplars(f.Exemplars)
		if p.full {
			return
		}
	}
}

func (p *printer) explicitBuckets(f otlp.HistogramDataPointFields) {
	i := int64(0)
	for v := range f.ExplicitBounds.All() {
		if p.s("ExplicitBounds #").int(i).s(": ").fixed(v).nl().full {
			return
		}
		i++
	}
	i = 0
	for n := range f.BucketCounts.All() {
		if p.s("Buckets #").int(i).s(", Count: ").uint(n).nl().full {
			return
		}
		i++
	}
}

func (p *printer) detailedExponential(l otlp.List[otlp.ExponentialHistogramDataPoint]) {
	i := 0
	for point := range l.All() {
		f := point.Decode()
		p.pointHead("ExponentialHistogramDataPoints", i, f.Attributes, f.StartTimeUnixNano, f.TimeUnixNano)
		i++
		p.detailedTotals(f.Count, optional{f.Sum, f.HasSum}, optional{f.Min, f.HasMin}, optional{f.Max, f.HasMax})
		for b := range exponentialBuckets(f) {
			switch {
			case b.zero:
				p.s("Bucket [0, 0], Count: ")
			case b.negative:
				p.s("Bucket [").fixed(-b.upper).s(", ").fixed(-b.lower).s("), Count: ")
			default:
				p.s("Bucket (").fixed(b.lower).s(", ").fixed(b.upper).s("], Count: ")
			}
			if p.uint(b.count).nl().full {
				return
			}
		}
		p.exemplars(f.Exemplars)
	}
}

func (p *printer) detailedSummary(l otlp.List[otlp.SummaryDataPoint]) {
	i := 0
	for point := range l.All() {
		f := point.Decode()
		p.pointHead("SummaryDataPoints", i, f.Attributes, f.StartTimeUnixNano, f.TimeUnixNano)
		i++
		p.s("Count: ").uint(f.Count).nl()
		p.s("Sum: ").fixed(f.Sum).nl()
		k := int64(0)
		for q := range f.QuantileValues.All() {
			if p.s("QuantileValue #").int(k).s(": Quantile ").fixed(q.Quantile()).s(", Value ").fixed(q.Value()).nl().full {
				return
			}
			k++
		}
	}
}

func (p *printer) exemplars(l otlp.List[otlp.Exemplar]) {
	i := int64(0)
	for e := range l.All() {
		if i == 0 {
			p.s("Exemplars:").nl()
		}
		f := e.Decode()
		p.s("Exemplar #").int(i).nl()
		i++
		p.arrow("").s("Trace ID: ").hex(f.TraceID).nl()
		p.arrow("").s("Span ID: ").hex(f.SpanID).nl()
		p.arrow("").s("Timestamp: ").time(f.TimeUnixNano).nl()
		if v, ok := e.AsInt(); ok {
			p.arrow("").s("Value: ").int(v).nl()
		} else if v, ok := e.AsDouble(); ok {
			p.arrow("").s("Value: ").fixed(v).nl()
		}
		p.attributes("     ", "-> FilteredAttributes", f.FilteredAttributes)
		if p.full {
			return
		}
	}
}
