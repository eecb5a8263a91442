package resourcedetectionprocessor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/processor/resourcedetectionprocessor/internal/detect"
)

// detection runs the detectors of a configuration, at the start and, if asked, again from
// time to time. Processors read its result.
type detection struct {
	host       *detect.Host
	log        *slog.Logger
	runs       []run
	timeout    time.Duration
	maxElapsed time.Duration
	retry      config.Retry
	refresh    time.Duration
	only       []string // attributes; empty: all

	result atomic.Pointer[result] // nil until there is one
	stop   context.CancelFunc
	done   sync.WaitGroup
}

// run is one detector with its settings.
type run struct {
	detect.Detector
	options detect.Options
	fail    bool // that the platform is not there is an error
}

// result is what the detectors have found, ready to be written. It does not change.
type result struct {
	attributes []attribute
	index      map[string]int
	schemaURL  []byte
}

// attribute is a key with the bytes of an AnyValue.
type attribute struct {
	key   string
	value []byte
}

// newDetection returns the detection of a configuration that is valid.
func newDetection(c Config, host *detect.Host, log *slog.Logger) (*detection, error) {
	d := &detection{
		host: host, log: log, timeout: c.Timeout, maxElapsed: c.maxElapsed(), retry: c.Retry, refresh: c.RefreshInterval, only: c.Attributes,
	}
	sections := c.sections()
	for _, name := range c.Detectors {
		known, err := detectorOf(name)
		if err != nil {
			return nil, err
		}
		r := run{Detector: known, fail: c.FailOnMissingMetadata, options: detect.Options{
			Log: log.With("detector", known.Name), HostnameSources: c.System.HostnameSources, TagsFromIMDS: c.EC2.TagsFromIMDS,
			Wanted: wanted(known, nil),
		}}
		if s, ok := sections[known.Section]; ok {
			r.options.Wanted = wanted(known, s.switches.set)
			if s.tags != nil {
				if r.options.Tags, err = compile(*s.tags); err != nil {
					return nil, err
				}
			}
			if s.node != nil {
				r.options.NodeVariable = *s.node
			}
			r.fail = r.fail || s.fail != nil && *s.fail
		}
		d.runs = append(d.runs, r)
	}
	return d, nil
}

// Start detects, which takes no longer than the timeout, and begins to detect again from
// time to time. Its error is that of a detector whose result is required.
func (d *detection) Start(ctx context.Context) error {
	if err := d.detect(ctx); err != nil {
		return fmt.Errorf("detect the resource: %w", err)
	}
	if d.refresh > 0 {
		ctx, d.stop = context.WithCancel(context.WithoutCancel(ctx))
		d.done.Go(func() { d.refreshUntil(ctx) })
	}
	return nil
}

// Shutdown ends what Start began.
func (d *detection) Shutdown(context.Context) error {
	if d.stop != nil {
		d.stop()
	}
	d.done.Wait()
	d.host.Close()
	return nil
}

func (d *detection) refreshUntil(ctx context.Context) {
	ticks := time.NewTicker(d.refresh)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
			if err := d.detect(ctx); err != nil && ctx.Err() == nil {
				d.log.Warn("detecting the resource again failed; the previous result stays in use", "error", err)
			}
		}
	}
}

// detect runs all detectors at the same time. The result is replaced unless a detector
// fails.
func (d *detection) detect(ctx context.Context) error {
	if total := max(d.maxElapsed, 0); total > 0 || d.timeout > 0 {
		if total == 0 {
			total = d.timeout
		}
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, total)
		defer cancel()
	}
	found, errs := make([]*detect.Resource, len(d.runs)), make([]error, len(d.runs))
	var all sync.WaitGroup
	for i := range d.runs {
		all.Go(func() { found[i], errs[i] = d.attempts(ctx, &d.runs[i]) })
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	merged, err := d.merge(found)
	if err != nil {
		return err
	}
	d.result.Store(merged)
	return nil
}

// attempts runs a detector until it succeeds, its error is permanent, or the time is over.
func (d *detection) attempts(ctx context.Context, r *run) (*detect.Resource, error) {
	wait := d.retry.InitialInterval
	for {
		found, err := d.attempt(ctx, r)
		if err == nil {
			return found, nil
		}
		err = fmt.Errorf("detector %s: %w", r.Name, err)
		var permanent *detect.PermanentError
		if !d.retry.Enabled || errors.As(err, &permanent) {
			return nil, err
		}
		pause := time.NewTimer(spread(wait, d.retry.RandomizationFactor))
		select {
		case <-ctx.Done():
			pause.Stop()
			return nil, err
		case <-pause.C:
		}
		d.log.Warn("a detector failed and is tried again", "detector", r.Name, "error", err)
		wait = min(time.Duration(float64(wait)*d.retry.Multiplier), d.retry.MaxInterval)
	}
}

// spread returns a time around wait.
func spread(wait time.Duration, factor float64) time.Duration {
	return time.Duration(float64(wait) * (1 + factor*(2*rand.Float64()-1)))
}

// attempt runs a detector once. What an error means depends on the detector: that the
// platform is not there is an error only if that was asked for.
func (d *detection) attempt(ctx context.Context, r *run) (*detect.Resource, error) {
	found := detect.NewResource(r.options.Wanted)
	if r.Detect == nil {
		if r.fail {
			return nil, &detect.PermanentError{Err: errors.New("penstock does not detect this platform")}
		}
		return found, nil // there is a warning about the configuration
	}
	if d.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d.timeout)
		defer cancel()
	}
	err := r.Detect(ctx, d.host, r.options, found)
	var notHere *detect.NotHereError
	switch {
	case err == nil:
		return found, nil
	case r.fail, r.Required:
		return nil, err
	case errors.As(err, &notHere) && len(found.Values) == 0:
		d.log.Info("the detector found nothing: the process does not run on its platform", "detector", r.Name, "reason", err)
	default:
		d.log.Warn("the detector did not find everything", "detector", r.Name, "error", err)
	}
	return found, nil
}

// merge joins what the detectors found. The first in the list counts.
func (d *detection) merge(found []*detect.Resource) (*result, error) {
	all := &result{index: map[string]int{}}
	shown := map[string]any{}
	for i, r := range found {
		if len(r.Values) > 0 && all.schemaURL == nil && !d.runs[i].Unversioned {
			all.schemaURL = []byte(detect.SchemaURL)
		}
		for _, v := range r.Values {
			if _, taken := all.index[v.Key]; taken || len(d.only) > 0 && !slices.Contains(d.only, v.Key) {
				continue
			}
			value, err := encode(v.V)
			if err != nil {
				return nil, fmt.Errorf("attribute %s: %w", v.Key, err)
			}
			all.index[v.Key] = len(all.attributes)
			all.attributes = append(all.attributes, attribute{v.Key, value})
			shown[v.Key] = v.V
		}
	}
	d.log.Info("the resource is detected", "attributes", shown)
	return all, nil
}

// encode returns the bytes of an AnyValue.
func encode(v any) ([]byte, error) {
	e := otlp.Encoder{Buf: []byte{}}
	b := otlp.AppendAnyValue(&e)
	switch v := v.(type) {
	case string:
		b.SetStringValue(strings.ToValidUTF8(v, "\uFFFD"))
	case int64:
		b.SetIntValue(v)
	case []string:
		list := b.SetArrayValue()
		for _, s := range v {
			element := list.AddValues()
			element.SetStringValue(strings.ToValidUTF8(s, "\uFFFD"))
			element.Close()
		}
		list.Close()
	default:
		return nil, fmt.Errorf("a value of type %T", v)
	}
	return e.Buf, nil
}
