// Package otlpexporter sends batches to a destination that speaks OTLP/gRPC. In
// a configuration it is called otlp or otlp_grpc.
//
//	exporters:
//	  otlp:
//	    endpoint: backend:4317
//	    tls: {insecure: true}
//
// A batch's bytes go out as they came in. In a service it is on disk before it is
// acknowledged, and is sent until the destination takes it; without sending_queue a
// failure goes back through the pipeline to the client.
package otlpexporter

import (
	"errors"
	"time"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/exporter/internal/sending"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlpclient"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// Config is the exporter's configuration, with the Collector's keys.
type Config struct {
	config.GRPCClient `yaml:",inline"`
	// Timeout is for one request from its start to its answer; 0 is none.
	Timeout time.Duration `yaml:"timeout"`
	// SendingQueue and RetryOnFailure are for the service that runs the exporter:
	// Consume sends once.
	SendingQueue   config.SendingQueue `yaml:"sending_queue"`
	RetryOnFailure config.Retry        `yaml:"retry_on_failure"`
	// Passthrough is for requests that came compressed.
	Passthrough config.Passthrough `yaml:",inline"`
}

// DefaultConfig returns the defaults, which are the Collector's: gzip, 5s.
func DefaultConfig() Config {
	return Config{GRPCClient: config.DefaultGRPCClient(), Timeout: 5 * time.Second, SendingQueue: config.DefaultSendingQueue(), RetryOnFailure: config.DefaultRetry(),
		Passthrough: config.DefaultPassthrough()}
}

// Validate checks the configuration without opening files or connections.
func (c Config) Validate() error {
	err := errors.Join(c.GRPCClient.Validate(), c.Passthrough.Validate())
	if c.Timeout < 0 {
		err = errors.Join(err, config.Atf("timeout", "timeout %s is negative", c.Timeout))
	}
	return err
}

// Warnings returns what the configuration asks for and does not get.
func (c Config) Warnings() []string {
	target, err := config.ParseGRPCTarget(c.Endpoint)
	plaintext := err == nil && !target.Encrypted && (target.Plaintext || c.TLS.Insecure)
	return append(sending.Ignored(c.SendingQueue, c.IgnoredKeys()), sending.AuthWarnings(c.Auth, plaintext)...)
}

// Needs implements component.Needer.
func (c Config) Needs() []component.Need { return sending.Needs(c.Auth, c.SendingQueue) }

// Exporter is a component.Exporter and pipeline.Named.
type Exporter struct{ *exporter }

type exporter = sending.Exporter

var (
	_ component.Exporter = (*Exporter)(nil)
	_ pipeline.Named     = (*Exporter)(nil)
)

// New returns an exporter that connects once it is started and given a batch.
func New(cfg Config, set component.Settings) (*Exporter, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	destination := func(otlp.Signal) string { return cfg.Endpoint }
	e, err := sending.New(set, destination, func(opts ...otlpclient.Option) (otlpclient.Sender, error) {
		client, err := otlpclient.NewGRPC(cfg.GRPCClient, cfg.Timeout, append(opts, otlpclient.WithPassthrough(cfg.Passthrough))...)
		if err != nil {
			return nil, err // not client: a nil *GRPC would not be a nil Sender
		}
		return client, nil
	})
	if err != nil {
		return nil, err
	}
	cfg.Headers = e.UseAuth(set, cfg.Auth, cfg.Headers)
	e.UsePassthrough(otlpclient.GRPCCapabilities(cfg.Compression, cfg.Passthrough))
	e.UseQueue(cfg.SendingQueue, cfg.RetryOnFailure)
	return &Exporter{e}, nil
}
