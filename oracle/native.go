package oracle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/components"
	"github.com/penstock-telemetry/penstock/internal/conf"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// ErrUnknownType means that penstock has no such component.
var ErrUnknownType = errors.New("penstock has no component of this type")

// NewNative creates a component of penstock.
func NewNative(c Component) (Instance, error) {
	d, err := descriptorOf(c)
	if err != nil {
		return nil, err
	}
	config, err := decodeNative(d, c.Settings)
	if err != nil {
		return nil, err
	}
	return startNative(c, d, config)
}

func descriptorOf(c Component) (component.Descriptor, error) {
	all := components.Default()
	i := slices.IndexFunc(all, func(d component.Descriptor) bool {
		return string(d.Kind) == string(c.Kind) && slices.Contains(d.Names(), c.Type)
	})
	if i < 0 {
		return component.Descriptor{}, ErrUnknownType
	}
	if _, ok := all[i].Stability[c.Signal]; !ok {
		return component.Descriptor{}, errSignal
	}
	return all[i], nil
}

// decodeNative reads settings as a service reads a section of its file.
func decodeNative(d component.Descriptor, settings string) (any, error) {
	tree, err := conf.Load(conf.Options{Sources: []string{"yaml:" + settings}})
	if err != nil {
		return nil, fmt.Errorf("read the settings: %w", err)
	}
	config := d.DefaultConfig()
	if err := tree.Root().Decode(config); err != nil {
		return nil, fmt.Errorf("decode the settings: %w", err)
	}
	return config, nil
}

type nativeInstance struct {
	signal otlp.Signal
	first  pipeline.Consumer
	sink   *nativeSink
	close  func(context.Context) error
}

func startNative(c Component, d component.Descriptor, config any) (Instance, error) {
	i := &nativeInstance{signal: c.Signal, sink: &nativeSink{}, close: func(context.Context) error { return nil }}
	set := component.Settings{ID: c.Type, Signal: c.Signal}.OrDefaults()
	if d.ConsumerProcessor != nil {
		p, err := d.ConsumerProcessor(config, set, i.sink)
		if err != nil {
			return nil, err
		}
		if err := p.Start(context.Background()); err != nil {
			return nil, fmt.Errorf("start: %w", err)
		}
		i.first, i.close = p, p.Shutdown
		return i, nil
	}
	if d.Processor == nil {
		return nil, ErrUnknownType
	}
	p, err := d.Processor(config, set)
	if err != nil {
		return nil, err
	}
	i.first = pipeline.Chain(i.sink, pipeline.Step{Name: c.Type, Processor: p})
	return i, nil
}

func (i *nativeInstance) Process(request []byte) Result {
	buf := pipeline.NewBuffer(len(request))
	buf.Bytes = append(buf.Bytes, request...)
	b, err := pipeline.NewPooledBatch(i.signal, buf, nil)
	buf.Release()
	if err != nil {
		return Result{Err: fmt.Errorf("make a batch of the request: %w", err)}
	}
	defer b.Release()
	i.sink.sent = nil
	r := Result{Err: i.first.Consume(context.Background(), b)}
	var panicked *pipeline.PanicError
	if errors.As(r.Err, &panicked) {
		r.Panic = fmt.Sprintf("%v\n%s", panicked.Value, panicked.Stack)
	}
	r.Sent = i.sink.sent
	return r
}

func (i *nativeInstance) Close() error { return i.close(context.Background()) }

// Unchecked returns the instance without what a test needs of penstock's: copies
// of the requests sent, and a check of them. It is for measurements.
func Unchecked(i Instance) Instance {
	if n, ok := i.(*nativeInstance); ok {
		n.sink.discard = true
	}
	return i
}

// nativeSink keeps copies of the batches that it gets. A batch that Check refuses
// is an error.
type nativeSink struct {
	sent    []Request
	discard bool
}

func (*nativeSink) Capabilities() pipeline.Capabilities { return pipeline.Capabilities{} }

func (k *nativeSink) Consume(_ context.Context, b *pipeline.Batch) error {
	if k.discard {
		return nil
	}
	n, err := otlp.Check(b.Signal(), b.Bytes())
	if err != nil {
		return fmt.Errorf("check the processed request: %w", err)
	}
	if n != b.Items() {
		return fmt.Errorf("the processed request has %d items, but is counted as %d", n, b.Items())
	}
	k.sent = append(k.sent, Request{b.Signal(), bytes.Clone(b.Bytes())})
	return nil
}
