package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"github.com/penstock-telemetry/penstock/internal/otelenv"
)

// otelEnv sets flags that the command line does not have from the variables of the
// OpenTelemetry specification.
type otelEnv struct {
	otelenv.Env
	flags *pflag.FlagSet
	given func(flag string) bool // on the command line
	errs  []error
}

// newOTELEnv reads the variables of a signal before the general ones; "" is none.
func newOTELEnv(flags *pflag.FlagSet, signal string) *otelEnv {
	given := map[string]bool{}
	flags.Visit(func(f *pflag.Flag) { given[f.Name] = true })
	return &otelEnv{Env: otelenv.Env{Signal: signal}, flags: flags, given: func(flag string) bool { return given[flag] }}
}

// set sets a flag to the value of a variable, after converting it.
func (e *otelEnv) set(flag, value, name string, convert func(string) ([]string, error)) {
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
		e.errs = append(e.errs, otelenv.Wrong(name, err))
	}
}

// exporter sets a flag to the value of a variable of the exporter.
func (e *otelEnv) exporter(flag, key string, convert func(string) ([]string, error)) {
	value, name := e.Exporter(key)
	e.set(flag, value, name, convert)
}

// client sets what both commands have.
func (e *otelEnv) client(headers string) {
	e.exporter(headers, "HEADERS", pairs)
	e.exporter("compression", "COMPRESSION", nil)
	e.exporter("ca-file", "CERTIFICATE", nil)
	e.exporter("cert-file", "CLIENT_CERTIFICATE", nil)
	e.exporter("key-file", "CLIENT_KEY", nil)
	e.exporter("insecure", "INSECURE", nil)
}

// err returns what is wrong with the variables.
func (e *otelEnv) err() error { return errors.Join(e.errs...) }

// applyOTELEnv sets the flags of loadgen.
func (f *loadgenFlags) applyOTELEnv(e *otelEnv) error {
	e.client("header")
	protocol, err := e.Protocol()
	if err != nil {
		e.errs = append(e.errs, err)
	}
	if protocol != "" && !e.given("protocol") {
		f.Protocol = protocol
	}
	e.exporter("endpoint", "ENDPOINT", nil)
	e.exporter("timeout", "TIMEOUT", milliseconds)
	return e.err()
}

// applyOTELEnv sets the flags of report.
func (f *reportFlags) applyOTELEnv(e *otelEnv) error {
	e.client("headers")
	f.to.NoEnvironment = true // flags that are given win
	if to, err := e.Endpoint(); err != nil {
		e.errs = append(e.errs, err)
	} else if to.Address != "" && !e.given("to") {
		e.errs = append(e.errs, e.flags.Set("to", to.Address))
		f.to.ProfilesURL = to.SignalURL
		if endpoint, _ := e.Exporter("ENDPOINT"); isURL(endpoint) && !isURL(to.Address) {
			e.insecure(to.Insecure) // gRPC: the scheme says it
		}
	}
	e.set("service-name", e.Get("OTEL_SERVICE_NAME"), "OTEL_SERVICE_NAME", nil)
	e.set("attributes", e.Get("OTEL_RESOURCE_ATTRIBUTES"), "OTEL_RESOURCE_ATTRIBUTES", pairs)
	return e.err()
}

func isURL(endpoint string) bool { return strings.Contains(endpoint, "://") }

// insecure sets the flag to what the scheme of a URL says.
func (e *otelEnv) insecure(is bool) {
	if value, _ := e.Exporter("INSECURE"); value == "" && !e.given("insecure") {
		e.errs = append(e.errs, e.flags.Set("insecure", fmt.Sprint(is)))
	}
}

func pairs(list string) (all []string, err error) {
	found, err := otelenv.Pairs(list)
	for _, p := range found {
		all = append(all, p.Name+"="+p.Value)
	}
	return all, err
}

func milliseconds(n string) ([]string, error) {
	d, err := otelenv.Milliseconds(n)
	if err != nil {
		return nil, err
	}
	return []string{d.String()}, nil
}
