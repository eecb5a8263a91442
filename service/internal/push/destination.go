package push

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/lograte"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlpclient"
)

// failureEvery is how often a destination logs a failure at most.
const failureEvery = time.Minute

// A Destination takes requests. It logs its failures.
type Destination struct {
	name     string // for the log: "service.telemetry.logs.processors[0]"
	log      *slog.Logger
	failures lograte.Limiter

	sender  otlpclient.Sender // nil for the console
	json    bool
	timeout time.Duration
	stdout  io.Writer
}

// Open creates a destination, which connects when the first request is sent. signal is
// the only signal that it is used for.
func (c *Config) Open(signal otlp.Signal, name string, log *slog.Logger, stdout io.Writer) (*Destination, error) {
	d := &Destination{name: name, log: log, stdout: stdout}
	if c.OTLP == nil {
		return d, nil
	}
	d.timeout, d.json = c.OTLP.timeout(), c.OTLP.Protocol == protocolJSON
	var err error
	if c.OTLP.Protocol == protocolGRPC {
		d.sender, err = c.OTLP.openGRPC()
	} else {
		d.sender, err = c.OTLP.openHTTP(signal)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return d, nil
}

func (c *OTLPConfig) openGRPC() (otlpclient.Sender, error) {
	cfg, err := c.grpcClient()
	if err != nil {
		return nil, err
	}
	client, err := otlpclient.NewGRPC(cfg, c.timeout())
	if err != nil {
		return nil, err // not client: a nil *GRPC would not be a nil Sender
	}
	return client, nil
}

func (c *OTLPConfig) openHTTP(signal otlp.Signal) (otlpclient.Sender, error) {
	cfg, err := c.httpClient()
	if err != nil {
		return nil, err
	}
	u, err := c.url()
	if err != nil {
		return nil, err
	}
	endpoints := otlpclient.Endpoints{}
	if strings.Trim(u.Path, "/") == "" {
		cfg.Endpoint = u.String()
	} else {
		endpoints[signal] = u.String()
	}
	client, err := otlpclient.NewHTTP(cfg, endpoints)
	if err != nil {
		return nil, err
	}
	return client, nil
}

// send sends a request. Data that cannot be sent is lost, as with the Collector.
func (d *Destination) send(ctx context.Context, s otlp.Signal, request []byte) {
	if len(request) == 0 {
		return
	}
	err := d.trySend(ctx, s, request)
	if err == nil {
		return
	}
	if times, ok := d.failures.Allow(failureEvery); ok {
		d.log.Warn("sending own telemetry failed; it is lost (logged at most once in "+failureEvery.String()+")",
			slog.String("destination", d.name), slog.Any("error", err), slog.Int64("failures", times))
	}
}

func (d *Destination) trySend(ctx context.Context, s otlp.Signal, request []byte) error {
	if d.sender == nil {
		_, err := d.stdout.Write(append(otlp.AppendJSON(nil, s, request), '\n'))
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	r := otlpclient.Request{Signal: s, Bytes: request}
	if d.json {
		r.Bytes, r.Headers = otlp.AppendJSON(nil, s, request), map[string]string{"content-type": "application/json"}
	}
	answer, err := d.sender.Send(ctx, r)
	if err == nil && answer.Rejected > 0 {
		err = fmt.Errorf("%d items were rejected: %s", answer.Rejected, answer.Message)
	}
	return err
}

// Close closes the connections.
func (d *Destination) Close() error {
	if d.sender == nil {
		return nil
	}
	return d.sender.Close()
}

// Plaintext reports whether headers are sent without TLS.
func (c *Config) Plaintext() bool {
	if c.OTLP == nil {
		return false
	}
	u, err := c.OTLP.url()
	return err == nil && (u.Scheme == "http" || c.OTLP.Insecure) && (len(c.OTLP.Headers) > 0 || c.OTLP.HeadersList != config.Secret(""))
}
