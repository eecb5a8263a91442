package main

import (
	"context"
	"maps"
	"slices"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	promstorage "github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"
)

// storage has the samples of one program in memory. It is filled before it is read.
type storage struct{ series map[string]*series }

type series struct {
	labels  labels.Labels
	samples []chunks.Sample
}

func (s *storage) add(l labels.Labels, at int64, value float64) {
	of := s.series[l.String()]
	if of == nil {
		of = &series{labels: l}
		s.series[l.String()] = of
	}
	of.samples = append(of.samples, sample{at, value})
}

// Querier implements storage.Queryable.
func (s *storage) Querier(_, _ int64) (promstorage.Querier, error) { return querier{s}, nil }

type querier struct{ of *storage }

// Select implements storage.Querier.
func (q querier) Select(_ context.Context, _ bool, _ *promstorage.SelectHints, matchers ...*labels.Matcher) promstorage.SeriesSet {
	var found []promstorage.Series
	for _, key := range slices.Sorted(maps.Keys(q.of.series)) {
		s := q.of.series[key]
		if !slices.ContainsFunc(matchers, func(m *labels.Matcher) bool { return !m.Matches(s.labels.Get(m.Name)) }) {
			found = append(found, promstorage.NewListSeries(s.labels, s.samples))
		}
	}
	return &seriesSet{of: found}
}

// LabelValues implements storage.Querier; the engine does not call it.
func (querier) LabelValues(context.Context, string, *promstorage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, nil
}

// LabelNames implements storage.Querier; the engine does not call it.
func (querier) LabelNames(context.Context, *promstorage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, nil
}

// Close implements storage.Querier.
func (querier) Close() error { return nil }

type seriesSet struct {
	of []promstorage.Series
	at int
}

func (s *seriesSet) Next() bool                        { s.at++; return s.at <= len(s.of) }
func (s *seriesSet) At() promstorage.Series            { return s.of[s.at-1] }
func (s *seriesSet) Err() error                        { return nil }
func (s *seriesSet) Warnings() annotations.Annotations { return nil }

// sample implements chunks.Sample.
type sample struct {
	at    int64
	value float64
}

func (s sample) T() int64                      { return s.at }
func (s sample) ST() int64                     { return 0 }
func (s sample) F() float64                    { return s.value }
func (s sample) H() *histogram.Histogram       { return nil }
func (s sample) FH() *histogram.FloatHistogram { return nil }
func (s sample) Type() chunkenc.ValueType      { return chunkenc.ValFloat }
func (s sample) Copy() chunks.Sample           { return s }
