package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
)

// names is which names a scraper asks for.
type names string

const (
	utf8Names   names = "allow-utf-8" // Prometheus from 3.0 on
	legacyNames names = "underscores"
)

// scraped is what was read of one program.
type scraped struct {
	storage *storage
	last    map[string]*dto.MetricFamily
}

func newScraped() *scraped { return &scraped{storage: &storage{series: map[string]*series{}}} }

func scrape(ctx context.Context, address string, n names) (map[string]*dto.MetricFamily, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/metrics", http.NoBody)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "text/plain;version=1.0.0;escaping="+string(n))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("scrape %s: HTTP status %d, %w", address, resp.StatusCode, err)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	return parser.TextToMetricFamilies(strings.NewReader(string(page)))
}

func (s *subject) scrapeInto(ctx context.Context, of map[names]*scraped, at time.Time) error {
	for n, into := range of {
		families, err := scrape(ctx, s.metrics, n)
		if err != nil {
			return err
		}
		into.last = families
		for _, f := range families {
			into.storage.addFamily(f, at.UnixMilli(), s.name, s.metrics)
		}
	}
	return nil
}

// addFamily adds the samples of f as Prometheus does.
func (s *storage) addFamily(f *dto.MetricFamily, at int64, job, instance string) {
	for _, m := range f.GetMetric() {
		add := func(suffix string, value float64, more ...string) {
			b := labels.NewScratchBuilder(8)
			b.Add("__name__", f.GetName()+suffix)
			b.Add("job", job)
			b.Add("instance", instance)
			for _, l := range m.GetLabel() {
				b.Add(l.GetName(), l.GetValue())
			}
			for i := 0; i < len(more); i += 2 {
				b.Add(more[i], more[i+1])
			}
			b.Sort()
			s.add(b.Labels(), at, value)
		}
		switch {
		case m.Histogram != nil:
			for _, bucket := range m.GetHistogram().GetBucket() {
				add("_bucket", float64(bucket.GetCumulativeCount()), "le", fmt.Sprint(bucket.GetUpperBound()))
			}
			add("_sum", m.GetHistogram().GetSampleSum())
			add("_count", float64(m.GetHistogram().GetSampleCount()))
		case m.Counter != nil:
			add("", m.GetCounter().GetValue())
		case m.Gauge != nil:
			add("", m.GetGauge().GetValue())
		default:
			add("", m.GetUntyped().GetValue())
		}
	}
}

// writeList writes a line "name{label,label}" for each metric, with the labels that any
// of its series has.
func writeList(file string, families map[string]*dto.MetricFamily) error {
	var out strings.Builder
	out.WriteString("# Written by tools/dashboards: what a Collector serves of itself.\n")
	for _, name := range slices.Sorted(maps.Keys(families)) {
		keys := map[string]bool{}
		for _, m := range families[name].GetMetric() {
			for _, l := range m.GetLabel() {
				keys[l.GetName()] = true
			}
		}
		fmt.Fprintf(&out, "%s{%s}\n", name, strings.Join(slices.Sorted(maps.Keys(keys)), ","))
	}
	return os.WriteFile(file, []byte(out.String()), 0o644)
}
