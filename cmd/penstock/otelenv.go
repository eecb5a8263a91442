package main

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// otelEnv sets flags that the command line does not have from the variables of the
// OpenTelemetry specification ("Environment Variable Specification", "OTLP exporter").
type otelEnv struct {
	flags  *pflag.FlagSet
	lookup func(name string) string // "" for a variable that is not set, as specified
	given  func(flag string) bool   // on the command line
	errs   []error
}

func newOTELEnv(flags *pflag.FlagSet) *otelEnv {
	given := map[string]bool{}
	flags.Visit(func(f *pflag.Flag) { given[f.Name] = true })
	return &otelEnv{flags: flags, lookup: os.Getenv, given: func(flag string) bool { return given[flag] }}
}

// set sets a flag to the value of a variable, after converting it.
func (e *otelEnv) set(flag, name string, convert func(string) ([]string, error)) {
	value := e.lookup(name)
	if value == "" || e.given(flag) {
		return
	}
	values, err := []string{value}, error(nil)
	if convert != nil {
		values, err = convert(value)
	}
	for _, v := range values {
		err = errors.Join(err, e.flags.Set(flag, v))
	}
	if err != nil {
		e.errs = append(e.errs, fmt.Errorf("the environment variable %s: %w", name, err))
	}
}

// client sets what both commands have.
func (e *otelEnv) client(headers string) {
	e.set(headers, "OTEL_EXPORTER_OTLP_HEADERS", pairs)
	e.set("compression", "OTEL_EXPORTER_OTLP_COMPRESSION", nil)
	e.set("ca-file", "OTEL_EXPORTER_OTLP_CERTIFICATE", nil)
	e.set("cert-file", "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", nil)
	e.set("key-file", "OTEL_EXPORTER_OTLP_CLIENT_KEY", nil)
	e.set("insecure", "OTEL_EXPORTER_OTLP_INSECURE", nil)
}

// protocol returns grpc or http, "" if nothing says which.
func (e *otelEnv) protocol() string {
	switch p := e.lookup("OTEL_EXPORTER_OTLP_PROTOCOL"); p {
	case "":
	case "grpc":
		return "grpc"
	case "http/protobuf":
		return "http"
	default:
		e.errs = append(e.errs, fmt.Errorf("the environment variable OTEL_EXPORTER_OTLP_PROTOCOL: expected grpc or http/protobuf, found %q", p))
	}
	if u, err := url.Parse(e.lookup("OTEL_EXPORTER_OTLP_ENDPOINT")); err == nil && u.Port() == "4318" {
		return "http"
	}
	return ""
}

// err returns what is wrong with the variables.
func (e *otelEnv) err() error { return errors.Join(e.errs...) }

// applyOTELEnv sets the flags of loadgen.
func (f *loadgenFlags) applyOTELEnv(e *otelEnv) error {
	e.client("header")
	if p := e.protocol(); p != "" && !e.given("protocol") {
		f.Protocol = p
	}
	e.set("endpoint", "OTEL_EXPORTER_OTLP_ENDPOINT", nil)
	e.set("timeout", "OTEL_EXPORTER_OTLP_TIMEOUT", milliseconds)
	return e.err()
}

// applyOTELEnv sets the flags of report. A URL there means HTTP, so the scheme is removed
// from an endpoint for gRPC.
func (f *reportFlags) applyOTELEnv(e *otelEnv) error {
	e.client("headers")
	overGRPC := e.protocol() != "http"
	e.set("to", "OTEL_EXPORTER_OTLP_ENDPOINT", func(endpoint string) ([]string, error) {
		scheme, rest, isURL := strings.Cut(endpoint, "://")
		if !overGRPC || !isURL {
			return []string{endpoint}, nil
		}
		if !e.given("insecure") && e.lookup("OTEL_EXPORTER_OTLP_INSECURE") == "" {
			e.errs = append(e.errs, e.flags.Set("insecure", fmt.Sprint(scheme == "http")))
		}
		return []string{strings.TrimSuffix(rest, "/")}, nil
	})
	e.set("service-name", "OTEL_SERVICE_NAME", nil)
	e.set("attributes", "OTEL_RESOURCE_ATTRIBUTES", pairs)
	return e.err()
}

// pairs splits "a=b,c=d%20e", which is percent-encoded (W3C Baggage).
func pairs(list string) ([]string, error) {
	var all []string
	for pair := range strings.SplitSeq(list, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(pair), "=")
		if name == "" && !ok {
			continue
		}
		value, err := url.PathUnescape(value)
		if !ok || err != nil {
			return nil, errors.New("expected name=value,name=value") // without the values, which may be secret
		}
		all = append(all, name+"="+value)
	}
	return all, nil
}

func milliseconds(n string) ([]string, error) {
	d, err := time.ParseDuration(n + "ms")
	if err != nil {
		return nil, fmt.Errorf("expected milliseconds, found %q", n)
	}
	return []string{d.String()}, nil
}
