// Package otelenv reads the environment variables of the OpenTelemetry specification that
// configure a client of OTLP ("Environment Variable Specification", "OpenTelemetry Protocol
// Exporter"). A variable that is empty is not set. The variable of a signal wins over the
// general one.
package otelenv

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"
)

// Env reads variables.
type Env struct {
	// Signal is the signal whose variables win, in capitals, such as PROFILES. Empty
	// means that only the general ones are read.
	Signal string
	// Lookup returns the value of a variable; nil means os.Getenv.
	Lookup func(name string) string
}

// Get returns the value of a variable.
func (e Env) Get(name string) string {
	if e.Lookup != nil {
		return e.Lookup(name)
	}
	return os.Getenv(name)
}

// Exporter returns the value of OTEL_EXPORTER_OTLP_ and the key, such as ENDPOINT, or of
// the variable of the signal, and the name of the one that it is from.
func (e Env) Exporter(key string) (value, name string) {
	if e.Signal != "" {
		name = "OTEL_EXPORTER_OTLP_" + e.Signal + "_" + key
		if value = e.Get(name); value != "" {
			return value, name
		}
	}
	name = "OTEL_EXPORTER_OTLP_" + key
	return e.Get(name), name
}

// The two protocols that clients here have.
const (
	GRPC = "grpc"
	HTTP = "http"
)

// Protocol returns GRPC or HTTP: what the variable says, else what the endpoint means: port
// 4318 is HTTP. "" means that nothing says which.
func (e Env) Protocol() (string, error) {
	switch p, name := e.Exporter("PROTOCOL"); p {
	case "":
	case "grpc":
		return GRPC, nil
	case "http/protobuf":
		return HTTP, nil
	default:
		return "", Wrong(name, fmt.Errorf("expected grpc or http/protobuf, found %q", p))
	}
	endpoint, _ := e.Exporter("ENDPOINT")
	if u, err := url.Parse(endpoint); err == nil && u.Port() == "4318" {
		return HTTP, nil
	}
	return "", nil
}

// Endpoint is the destination of a signal.
type Endpoint struct {
	// Address is host:port for gRPC, and a base URL for HTTP. It is empty if no variable
	// says where.
	Address string
	// SignalURL is the URL of the signal over HTTP, which is used as it is; empty means
	// the path of the signal below Address.
	SignalURL string
	// Insecure reports whether gRPC has no TLS.
	Insecure bool
}

// Endpoint returns the destination.
func (e Env) Endpoint() (Endpoint, error) {
	protocol, err := e.Protocol()
	if err != nil {
		return Endpoint{}, err
	}
	value, name := e.Exporter("ENDPOINT")
	scheme, rest, isURL := strings.Cut(value, "://")
	switch {
	case protocol == HTTP && value == "":
		return Endpoint{Address: "http://localhost:4318"}, nil
	case protocol == HTTP && !isURL:
		return Endpoint{}, Wrong(name, errors.New("expected a URL such as http://localhost:4318")) // without the value, which may have a password
	case protocol == HTTP:
		return e.overHTTP(value, name)
	}
	insecure, _ := e.Exporter("INSECURE")
	to := Endpoint{Address: value, Insecure: strings.EqualFold(insecure, "true")}
	if isURL {
		to.Address, _, _ = strings.Cut(rest, "/")
		to.Insecure = strings.EqualFold(scheme, "http")
	}
	return to, nil
}

// overHTTP: the endpoint of a signal is the whole URL, the general one the base.
func (e Env) overHTTP(value, name string) (Endpoint, error) {
	u, err := url.Parse(value)
	if err != nil {
		return Endpoint{}, Wrong(name, errors.New("expected a URL such as http://localhost:4318"))
	}
	if name == "OTEL_EXPORTER_OTLP_ENDPOINT" {
		return Endpoint{Address: value}, nil
	}
	base := url.URL{Scheme: u.Scheme, User: u.User, Host: u.Host}
	return Endpoint{Address: base.String(), SignalURL: value}, nil
}

// Resource returns the attributes of OTEL_RESOURCE_ATTRIBUTES, with the name of
// OTEL_SERVICE_NAME as service.name.
func (e Env) Resource() ([]Pair, error) {
	const name = "OTEL_RESOURCE_ATTRIBUTES"
	attrs, err := Pairs(e.Get(name))
	if err != nil {
		return nil, Wrong(name, err)
	}
	if service := e.Get("OTEL_SERVICE_NAME"); service != "" {
		attrs = append(attrs, Pair{"service.name", service})
	}
	return attrs, nil
}

// Pair is a name and a value.
type Pair struct{ Name, Value string }

// Pairs splits "a=b,c=d%20e", which is percent-encoded (W3C Baggage).
func Pairs(list string) (all []Pair, err error) {
	for pair := range strings.SplitSeq(list, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(pair), "=")
		if name == "" && !ok {
			continue
		}
		value, err := url.PathUnescape(value)
		if !ok || err != nil {
			return nil, errors.New("expected name=value,name=value") // without the values, which may be secret
		}
		all = append(all, Pair{name, value})
	}
	return all, nil
}

// Milliseconds reads a number of milliseconds.
func Milliseconds(n string) (time.Duration, error) {
	d, err := time.ParseDuration(n + "ms")
	if err != nil {
		return 0, fmt.Errorf("expected milliseconds, found %q", n)
	}
	return d, nil
}

// Wrong returns the error about the value of a variable.
func Wrong(name string, err error) error {
	return fmt.Errorf("the environment variable %s: %w", name, err)
}
