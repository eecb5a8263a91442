// Package otlphttpexporter sends batches to a destination that speaks OTLP/HTTP
// with protobuf, or with JSON (encoding: json). In a configuration it is called otlphttp or otlp_http.
//
//	exporters:
//	  otlphttp:
//	    endpoint: https://backend:4318           # /v1/traces and so on are added
//	    logs_endpoint: https://logs/otlp/v1/logs # taken as it is
//
// A batch's bytes go out as they came in, unless they are encoded as JSON. In a service
// it is on disk before it is acknowledged, and is sent until the destination takes it;
// without sending_queue a failure goes back through the pipeline to the client.
package otlphttpexporter

import (
	"errors"
	"fmt"
	"strings"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/exporter/internal/sending"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlpclient"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// Config is the exporter's configuration, with the Collector's keys.
type Config struct {
	config.HTTPClient `yaml:",inline"`
	// The endpoint of one signal, taken as it is; empty is the base endpoint and
	// the signal's path.
	TracesEndpoint   string `yaml:"traces_endpoint"`
	MetricsEndpoint  string `yaml:"metrics_endpoint"`
	LogsEndpoint     string `yaml:"logs_endpoint"`
	ProfilesEndpoint string `yaml:"profiles_endpoint"`
	// Encoding is proto or json.
	Encoding string `yaml:"encoding"`
	// SendingQueue and RetryOnFailure are for the service that runs the exporter:
	// Consume sends once.
	SendingQueue   config.SendingQueue `yaml:"sending_queue"`
	RetryOnFailure config.Retry        `yaml:"retry_on_failure"`
	// Passthrough is for requests that came compressed. JSON is always compressed.
	Passthrough config.Passthrough `yaml:",inline"`
}

// DefaultConfig returns the defaults, which are the Collector's: gzip, 30s.
func DefaultConfig() Config {
	return Config{HTTPClient: config.DefaultHTTPClient(), Encoding: "proto", SendingQueue: config.DefaultSendingQueue(), RetryOnFailure: config.DefaultRetry(),
		Passthrough: config.DefaultPassthrough()}
}

func (c Config) endpoints() otlpclient.Endpoints {
	return otlpclient.Endpoints{
		otlp.Traces: c.TracesEndpoint, otlp.Metrics: c.MetricsEndpoint,
		otlp.Logs: c.LogsEndpoint, otlp.Profiles: c.ProfilesEndpoint,
	}
}

// Validate checks the configuration without opening files or connections.
func (c Config) Validate() error {
	problems := []error{c.HTTPClient.Validate(), c.Passthrough.Validate()}
	some := c.Endpoint != ""
	endpoints := c.endpoints()
	for _, s := range otlp.Signals() {
		if endpoints[s] == "" {
			continue
		}
		some = true
		_, err := config.ParseHTTPEndpoint(endpoints[s])
		problems = append(problems, config.At(s.String()+"_endpoint", err))
	}
	if !some {
		problems = append(problems, errors.New("no endpoint is set: expected endpoint, or that of a signal such as traces_endpoint"))
	}
	switch c.Encoding {
	case "", "proto", "json":
	default:
		problems = append(problems, config.At("encoding", fmt.Errorf("unknown encoding %q: expected proto or json", c.Encoding)))
	}
	return errors.Join(problems...)
}

// Warnings returns what the configuration asks for and does not get.
func (c Config) Warnings() []string {
	all := append(sending.Ignored(c.SendingQueue, c.IgnoredKeys()), sending.AuthWarnings(c.Auth, c.plaintext())...)
	for _, s := range otlp.Signals() {
		if path := s.Spec().Path; strings.HasSuffix(strings.TrimSuffix(c.Endpoint, "/"), path) {
			all = append(all, fmt.Sprintf("endpoint ends in %s, and the path of each signal is added to it: expected the URL without that, or %s_endpoint", path, s))
		}
	}
	return all
}

// plaintext reports whether one of the endpoints has no TLS.
func (c Config) plaintext() bool {
	endpoints := c.endpoints()
	for _, s := range otlp.Signals() {
		if u, err := otlpclient.SignalURL(c.Endpoint, endpoints[s], s); err == nil && u != nil && u.Scheme == "http" {
			return true
		}
	}
	return false
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

// destination returns the URL of a signal, empty if it has none.
func (c *Config) destination(s otlp.Signal) string {
	u, err := otlpclient.SignalURL(c.Endpoint, c.endpoints()[s], s)
	if err != nil || u == nil {
		return ""
	}
	return u.String()
}

// New returns an exporter that connects once it is started and given a batch.
func New(cfg Config, set component.Settings) (*Exporter, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	e, err := sending.New(set, cfg.destination, func(opts ...otlpclient.Option) (otlpclient.Sender, error) {
		client, err := otlpclient.NewHTTP(cfg.HTTPClient, cfg.endpoints(), append(opts, otlpclient.WithCompressor(&lz4Compressor{}), otlpclient.WithPassthrough(cfg.Passthrough))...)
		if err != nil {
			return nil, err // not client: a nil *HTTP would not be a nil Sender
		}
		if cfg.Encoding == "json" {
			return jsonSender{client}, nil
		}
		return client, nil
	})
	if err != nil {
		return nil, err
	}
	cfg.Headers = e.UseAuth(set, cfg.Auth, cfg.Headers)
	if cfg.Encoding != "json" {
		e.UsePassthrough(otlpclient.HTTPCapabilities(cfg.Compression, cfg.Passthrough))
	}
	e.UseQueue(cfg.SendingQueue, cfg.RetryOnFailure)
	return &Exporter{e}, nil
}
